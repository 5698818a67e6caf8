r"""Cuts, resizes, filters and splits faces once, for datasets that are read quickly.

    python tools/prepare_faces.py --data-root data/vggface2 --out data/prepared \
        --val-identities 200 --min-box-side 128 --workers 4
    python tools/prepare_faces.py --data-root data/celeba_hq \
        --landmarks data/celeba_hq.csv --identity picture --out data/prepared \
        --val-identities 0.01 --test-identities 0.02

Reads VGGFace2's layout, or with --landmarks any folder of images; writes for each
split a manifest and shards of images, and beside them report.csv, skipped.csv and
contact_sheet.png. Started again, it goes on where it was stopped.
"""

import argparse
import sys
from typing import Any, Dict, Optional

from _arguments import report_errors, whole_number


def share_or_number(text: str) -> float:
    """A share below 1, or a whole number."""
    value = float(text)
    if value < 0 or (value >= 1 and value != int(value)):
        raise argparse.ArgumentTypeError(
            f'{text} is neither a share below 1 nor a whole number')
    return value


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='folder to write; new, or begun by the same command')
    parser.add_argument('--workers', type=whole_number(0), default=1, metavar='W',
                        help='processes (default: 1); 0 does all in the first one')
    add_source(parser.add_argument_group('what is read'))
    add_cut(parser.add_argument_group('the cut'))
    add_filters(parser.add_argument_group('filters; their counts are in report.csv'))
    add_splits(parser.add_argument_group('splits'))
    add_storage(parser.add_argument_group('what is written'))
    return parser.parse_args()


def add_source(group: Any) -> None:
    """Adds what says where images, boxes and landmarks are."""
    group.add_argument('--data-root', required=True, metavar='DIR',
                       help="VGGFace2's layout or, with --landmarks, any folder")
    group.add_argument('--landmarks', metavar='CSV',
                       help="five points in VGGFace2's columns, of any folder")
    group.add_argument('--boxes', metavar='CSV',
                       help='boxes for --landmarks (default: about the points)')
    group.add_argument('--list', dest='listing', choices=('train', 'test'),
                       default='train', help="of VGGFace2's layout (default: train)")
    group.add_argument('--exif', action='store_true',
                       help='the landmarks are those of the image turned by EXIF')


def add_cut(group: Any) -> None:
    """Adds what HR is."""
    group.add_argument('--size', type=int, default=256, metavar='PX',
                       help='side of HR (default: 256)')
    group.add_argument('--align', choices=('five_point', 'box'), default='five_point',
                       help='the cut (default: five_point)')
    group.add_argument('--eye-share', type=float, default=0.243, metavar='SHARE',
                       help="eyes' distance for five_point (default: 0.243, FFHQ)")
    group.add_argument('--crop-scale', type=float, default=1.3, metavar='F',
                       help='cut in longer sides of the box, for box (default: 1.3)')


def add_filters(group: Any) -> None:
    """Adds what leaves faces out."""
    group.add_argument('--min-side', type=float, default=0, metavar='PX',
                       help="cut's least width in the source (default: 0)")
    group.add_argument('--min-box-side', type=float, default=0, metavar='PX',
                       help="box's least side in the source (default: 0)")
    group.add_argument('--min-sharpness', type=float, default=0, metavar='V',
                       help='least variance of the Laplacian of HR (default: 0)')
    group.add_argument('--duplicates', type=int, metavar='BITS',
                       help='leave out a face whose 64-bit dHash differs in at most '
                       'so many bits from an earlier one (default: keep all)')


def add_splits(group: Any) -> None:
    """Adds how faces are split."""
    group.add_argument('--val-identities', type=share_or_number, default=0,
                       metavar='N', help='a number, or a share below 1 (default: 0)')
    group.add_argument('--test-identities', type=share_or_number, default=0,
                       metavar='N', help='a number, or a share below 1 (default: 0)')
    group.add_argument('--identity', choices=('folder', 'picture'), default='folder',
                       help='who is one person (default: folder)')
    group.add_argument('--seed', type=int, default=0, help='of the draw (default: 0)')


def add_storage(group: Any) -> None:
    """Adds how faces are written."""
    group.add_argument('--encoding', choices=('jpeg', 'png', 'raw'), default='jpeg',
                       help='of the images (default: jpeg); raw is for lmdb alone')
    group.add_argument('--quality', type=int, default=95, metavar='Q',
                       help='of JPEG (default: 95)')
    group.add_argument('--storage', choices=('folder', 'lmdb'), default='folder',
                       help='of a shard (default: folder)')
    group.add_argument('--shard-size', type=int, default=2000, metavar='N',
                       help='images looked at for a shard (default: 2000)')


class Progress:
    """A bar with the time to go, begun where the run goes on."""

    def __init__(self) -> None:
        self._bar: Optional[Any] = None

    def __call__(self, done: int, total: int) -> None:
        """Moves the bar."""
        from tqdm import tqdm
        if self._bar is None:
            self._bar = tqdm(total=total, initial=done, unit='picture', smoothing=0,
                             dynamic_ncols=True)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()


def describe(out: str, summary: Dict[str, Any]) -> None:
    """Prints what was made."""
    for split, found in summary['splits'].items():
        reasons = ', '.join(f'{count} {kind}' for kind, count in
                            found['skipped'].items()) or 'none skipped'
        print(f'{out}/{split}: {found["kept"]} faces of {found["listed"]} images '
              f'({reasons}); {found["up_sampled"]} enlarged to HR, {found["padded"]} '
              'reflected beyond the image')
    print(f'Look at {out}/contact_sheet.png; skipped images are in '
          f'{out}/skipped.csv, counts in {out}/report.csv.')


@report_errors
def main() -> None:
    """Runs the tool."""
    arguments = vars(parse_args())
    out, workers = arguments.pop('out'), arguments.pop('workers')
    from fdsr.preparation.faces.prepare import prepare
    from fdsr.preparation.faces.settings import Settings
    try:
        summary = prepare(Settings(**arguments), out, workers, Progress())
    except KeyboardInterrupt:
        print(f'\nStopped. The finished shards are in {out}: run the same command '
              'again to go on.', file=sys.stderr)
        sys.exit(130)
    describe(out, summary)


if __name__ == '__main__':
    main()
