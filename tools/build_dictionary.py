r"""Builds the dictionary of a teacher from its training faces.

    python tools/build_dictionary.py configs/teacher_vggface2.py \
        --data-root data/vggface2 --max-faces 10000 --num-atoms 512 \
        --out work_dirs/dictionary_vggface2.safetensors

Reads the size, layout and encoder of the teacher and the training faces from CONFIG,
cuts out the features of the facial components, and clusters them to K atoms for each
component and level. The config of the teacher refers to the file:
dictionary=dict(file=FILE). The same command resumes an interrupted build from
FILE.partial.
"""

import argparse
import sys
from typing import Any

from _arguments import (
    add_config_arguments,
    add_ray_argument,
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
                        help='use N random faces (default: all)')
    parser.add_argument('--balance', choices=('pose',),
                        help='sample faces uniformly over the yaw of the heads, '
                        'estimated from the landmarks')
    parser.add_argument('--batch-size', type=whole_number(1), default=4, metavar='B',
                        help='faces per batch (default: 4)')
    parser.add_argument('--seed', type=whole_number(0), default=0,
                        help='seed of the sample, the projections and K-means '
                        '(default: 0)')
    parser.add_argument('--dtype', choices=('float16', 'float32'), default='float16',
                        help='dtype of the atoms in the file (default: float16)')
    parser.add_argument('--device', default='cpu',
                        help='device of the encoder, e.g. cuda (default: cpu)')
    parser.add_argument('--num-workers', type=whole_number(0), default=0, metavar='W',
                        help='processes that read images (default: 0, no worker)')
    add_ray_argument(parser, 'the first pass, which encodes the faces,')
    parser.add_argument('--no-resume', dest='resume', action='store_false',
                        help='delete FILE.partial and start again')
    add_config_arguments(parser)
    return parser.parse_args()


class Progress:
    """Progress bar over both passes.

    Args:
        num_faces: number of faces of one pass.
    """

    def __init__(self, num_faces: int) -> None:
        from tqdm import tqdm
        self._bar = tqdm(total=2 * num_faces, unit='face', mininterval=1,
                         dynamic_ncols=True)

    def __call__(self, step: str, faces: int) -> None:
        """Shows the step and adds processed faces."""
        self._bar.set_description(step, refresh=not faces)
        self._bar.update(faces)

    def __enter__(self) -> 'Progress':
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def build(args: argparse.Namespace) -> None:
    """Builds and writes the dictionary and prints a summary."""
    from fdsr.engine.config import load_config
    from fdsr.preparation.dictionary.from_config import build_from_config
    from fdsr.registry import register_all

    config = load_config(args.config, **common_options(args))
    register_all()
    written = build_from_config(
        config, args.out, args.num_atoms, Progress, args.max_faces, args.batch_size,
        args.seed, args.dtype, args.device, args.num_workers, args.balance,
        args.resume, args.ray)
    describe(args, written)


def peak_memory() -> int:
    """Returns the peak resident set size of this process in bytes."""
    import resource
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def describe(args: argparse.Namespace, written: Any) -> None:
    """Prints a summary."""
    built, faces = written.built, written.faces
    print(f'{args.out}\n  SHA-256 {written.sha256}\n  {args.num_atoms} atoms per '
          f'component and level, {args.dtype}, from {built.num_faces} faces; '
          f'{faces.skipped} bad ones skipped; seed {args.seed}')
    print(f'  mean eye distance {faces.eye_share:.3f} of the side; size of the atoms '
          f'for eye_share={written.eye_share:g} in the config')
    print(f'  peak memory of this process: {peak_memory() / 1e6:.0f} MB')
    if faces.pose:
        print('  faces by pose, from left to right: '
              f'{faces.pose.drawn} of {faces.pose.available}')
    print('  explained variance of the features, finest level first:')
    for component, shares in built.explained.items():
        print(f'    {component:<10}' + ''.join(f'{share:7.3f}' for share in shares))


@report_errors
def main() -> None:
    """Runs the tool."""
    args = parse_args()
    try:
        build(args)
    except KeyboardInterrupt:
        print(f'Interrupted. Run the same command again to resume from '
              f'{args.out}.partial.', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
