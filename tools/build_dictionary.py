r"""Builds the dictionary that a teacher reads, from the faces it trains on.

    python tools/build_dictionary.py configs/teacher_vggface2.py \
        --data-root data/vggface2 --max-faces 10000 --num-atoms 512 \
        --out work_dirs/dictionary_vggface2.pth

Takes the teacher's size, layout and encoder and the training faces out of CONFIG,
cuts their features at the components' boxes, and clusters them into K atoms for each
component and level. The teacher then names the file: dictionary=dict(file=FILE).
A build that was cut off goes on where it was when it is started again with the same
words; until then FILE.partial holds what is finished.
"""

import argparse
import sys
from typing import Any

from _arguments import (
    add_config_arguments,
    common_options,
    report_errors,
    whole_number,
)


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config that trains a DictionaryTeacher')
    parser.add_argument('--out', required=True, metavar='FILE',
                        help='the dictionary to write')
    parser.add_argument('--num-atoms', required=True, type=int, metavar='K',
                        help='atoms of each component and level; DFDNet has 512')
    parser.add_argument('--max-faces', type=whole_number(1), metavar='N',
                        help='use N faces, drawn by the seed (default: all)')
    parser.add_argument('--balance', choices=('pose',),
                        help='draw the faces evenly over how far heads are turned, '
                        'told by the five landmarks')
    parser.add_argument('--batch-size', type=whole_number(1), default=4, metavar='B',
                        help='faces encoded at once (default: 4)')
    parser.add_argument('--seed', type=whole_number(0), default=0,
                        help='of the draw, the projections and K-means (default: 0)')
    parser.add_argument('--dtype', choices=('float16', 'float32'), default='float16',
                        help='of the atoms in the file (default: float16)')
    parser.add_argument('--device', default='cpu',
                        help='that computes the features, e.g. cuda (default: cpu)')
    parser.add_argument('--num-workers', type=whole_number(0), default=0, metavar='W',
                        help='processes that read images (default: 0, this one)')
    parser.add_argument('--no-resume', dest='resume', action='store_false',
                        help='throw FILE.partial away and start again')
    add_config_arguments(parser)
    return parser.parse_args()


class Progress:
    """One bar over both passes, so that the time to go is that of the whole.

    Args:
        num_faces: in one pass.
    """

    def __init__(self, num_faces: int) -> None:
        from tqdm import tqdm
        self._bar = tqdm(total=2 * num_faces, unit='face', mininterval=1,
                         dynamic_ncols=True)

    def __call__(self, step: str, faces: int) -> None:
        """Names the step and counts faces on."""
        self._bar.set_description(step, refresh=not faces)
        self._bar.update(faces)

    def __enter__(self) -> 'Progress':
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def build(args: argparse.Namespace) -> None:
    """Builds the dictionary, writes it, and says what is in it."""
    from fdsr.engine.config import load_config
    from fdsr.preparation.dictionary.from_config import build_from_config
    from fdsr.registry import register_all

    config = load_config(args.config, **common_options(args))
    register_all()
    written = build_from_config(
        config, args.out, args.num_atoms, Progress, args.max_faces, args.batch_size,
        args.seed, args.dtype, args.device, args.num_workers, args.balance,
        args.resume)
    describe(args, written)


def peak_memory() -> int:
    """Bytes of the largest resident set that this process has had."""
    import resource
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def describe(args: argparse.Namespace, written: Any) -> None:
    """Prints what was made, and of what."""
    built, faces = written.built, written.faces
    print(f'{args.out}\n  SHA-256 {written.sha256}\n  {args.num_atoms} atoms a '
          f'component and level, {args.dtype}, of {built.num_faces} faces; '
          f'{faces.skipped} bad ones skipped; seed {args.seed}')
    print(f'  eyes are {faces.eye_share:.3f} of the side apart on average; the config '
          f'sizes the atoms for eye_share={written.eye_share:g}')
    print(f'  peak memory of this process: {peak_memory() / 1e6:.0f} MB')
    if faces.pose:
        print('  faces by pose, turned left to turned right: '
              f'{faces.pose.drawn} of {faces.pose.available}')
    print('  share of the features\' variance explained, finest level first:')
    for component, shares in built.explained.items():
        print(f'    {component:<10}' + ''.join(f'{share:7.3f}' for share in shares))


@report_errors
def main() -> None:
    """Runs the tool."""
    args = parse_args()
    try:
        build(args)
    except KeyboardInterrupt:
        print(f'Stopped. {args.out}.partial holds what is finished; the same command '
              'goes on.', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
