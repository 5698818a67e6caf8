r"""Crops, resizes, filters and splits faces for fast loading.

    python tools/prepare_faces.py --data-root data/vggface2 --out data/prepared \
        --val-identities 200 --min-box-side 128 --workers 4
    python tools/prepare_faces.py --data-root data/celeba_hq \
        --landmarks data/celeba_hq.csv --identity picture --out data/prepared \
        --val-identities 0.01 --test-identities 0.02

Reads VGGFace2's layout or, with --landmarks, any folder of images, both local or at
an fsspec URL (s3://, gs://, https://). Writes a manifest
and shards of images for each split, and report.csv, skipped.csv and contact_sheet.png.
The same command resumes an interrupted run.
"""

import argparse
import sys
from typing import Any

from _arguments import add_ray_argument, report_errors, whole_number


def share_or_number(text: str) -> float:
    """Parses a share below 1 or a whole number."""
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
                        help='output folder; new, or created by the same command')
    parser.add_argument('--workers', type=whole_number(0), default=1, metavar='W',
                        help='worker processes (default: 1); 0 uses none')
    add_ray_argument(parser)
    add_source(parser.add_argument_group('input'))
    add_cut(parser.add_argument_group('crop'))
    add_filters(parser.add_argument_group('filters, with counts in report.csv'))
    add_splits(parser.add_argument_group('splits'))
    add_storage(parser.add_argument_group('output'))
    arguments = parser.parse_args()
    if arguments.upload and (
            arguments.storage != 'tar' or '://' not in arguments.upload):
        parser.error('--upload needs a URL such as s3://BUCKET/FOLDER, and --storage '
                     'tar.')
    return arguments


def add_source(group: Any) -> None:
    """Adds the arguments of the input."""
    group.add_argument('--data-root', required=True, metavar='DIR',
                       help="VGGFace2's layout or, with --landmarks, any folder")
    group.add_argument('--landmarks', metavar='CSV',
                       help="landmarks of any folder with VGGFace2's columns")
    group.add_argument('--boxes', metavar='CSV',
                       help='boxes for --landmarks (default: around the landmarks)')
    group.add_argument('--list', dest='listing', choices=('train', 'test'),
                       default='train',
                       help="list of VGGFace2's layout (default: train)")
    group.add_argument('--exif', action='store_true',
                       help='the landmarks refer to the image after applying its EXIF '
                       'orientation')


def add_cut(group: Any) -> None:
    """Adds the arguments of the crop."""
    group.add_argument('--size', type=int, default=256, metavar='PX',
                       help='side of HR (default: 256)')
    group.add_argument('--align', choices=('five_point', 'box'), default='five_point',
                       help='the crop (default: five_point)')
    group.add_argument('--eye-share', type=float, default=0.243, metavar='SHARE',
                       help='eye distance as a share of the side, for five_point '
                       '(default: 0.243, FFHQ)')
    group.add_argument('--crop-scale', type=float, default=1.3, metavar='F',
                       help='side in longer sides of the box, for box (default: 1.3)')


def add_filters(group: Any) -> None:
    """Adds the arguments of the filters."""
    group.add_argument('--min-side', type=float, default=0, metavar='PX',
                       help='minimum side of the crop in the source (default: 0)')
    group.add_argument('--min-box-side', type=float, default=0, metavar='PX',
                       help='minimum side of the box in the source (default: 0)')
    group.add_argument('--min-sharpness', type=float, default=0, metavar='V',
                       help='minimum variance of the Laplacian of HR (default: 0)')
    group.add_argument('--duplicates', type=int, metavar='BITS',
                       help='skip a face whose 64-bit dHash differs in at most this '
                       'many bits from an earlier one (default: keep all)')


def add_splits(group: Any) -> None:
    """Adds the arguments of the splits."""
    group.add_argument('--val-identities', type=share_or_number, default=0,
                       metavar='N', help='a number, or a share below 1 (default: 0)')
    group.add_argument('--test-identities', type=share_or_number, default=0,
                       metavar='N', help='a number, or a share below 1 (default: 0)')
    group.add_argument('--identity', choices=('folder', 'picture'), default='folder',
                       help='an identity is a folder or a single image '
                       '(default: folder)')
    group.add_argument('--seed', type=int, default=0,
                       help='seed of the splits (default: 0)')


def add_storage(group: Any) -> None:
    """Adds the arguments of the output."""
    group.add_argument('--encoding', choices=('jpeg', 'png', 'raw'), default='jpeg',
                       help='encoding of the images (default: jpeg); raw needs lmdb')
    group.add_argument('--quality', type=int, default=95, metavar='Q',
                       help='quality of JPEG (default: 95)')
    group.add_argument('--storage', choices=('folder', 'lmdb', 'tar'),
                       default='folder', help='storage of a shard (default: folder); '
                       'tar: a WebDataset, which can be read from a URL')
    group.add_argument('--upload', metavar='URL',
                       help='then copy the folder to an fsspec URL, for example '
                       's3://BUCKET/FOLDER; needs --storage tar')
    group.add_argument('--shard-size', type=int, default=2000, metavar='N',
                       help='images per shard before filtering (default: 2000)')


class Progress:
    """Progress bar that starts at the images finished before."""

    def __init__(self, unit: str = 'image') -> None:
        self._bar: Any = None
        self._unit = unit

    def __call__(self, done: int, total: int) -> None:
        """Updates the bar."""
        from tqdm import tqdm
        if self._bar is None:
            self._bar = tqdm(total=total, initial=done, unit=self._unit, smoothing=0,
                             dynamic_ncols=True)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()


def describe(out: str, summary: dict[str, Any]) -> None:
    """Prints a summary."""
    for split, found in summary['splits'].items():
        reasons = ', '.join(f'{count} {kind}' for kind, count in
                            found['skipped'].items()) or 'none skipped'
        print(f'{out}/{split}: {found["kept"]} faces of {found["listed"]} images '
              f'({reasons}); {found["up_sampled"]} upsampled to HR, {found["padded"]} '
              'padded by reflection')
    print(f'Inspect {out}/contact_sheet.png; {out}/skipped.csv lists skipped images, '
          f'{out}/report.csv has the counts.')


def upload(out: str, url: str) -> None:
    """Copies the prepared folder to a URL; the same command resumes."""
    from pathlib import Path

    from fdsr.datasets.manifest import MANIFEST
    from fdsr.utils.storage import upload_folder
    bar = Progress('file')
    written = upload_folder(Path(out), url, MANIFEST, bar)
    print(f'{url}: {written} files written')


@report_errors
def main() -> None:
    """Runs the tool."""
    arguments = vars(parse_args())
    out, workers, ray, url = map(arguments.pop, ('out', 'workers', 'ray', 'upload'))
    from fdsr.preparation.executor import Executor
    from fdsr.preparation.faces.prepare import prepare
    from fdsr.preparation.faces.settings import Settings
    try:
        summary = prepare(Settings(**arguments), out, Executor(workers, ray),
                          Progress())
    except KeyboardInterrupt:
        print(f'\nInterrupted. {out} contains the finished shards: run the same '
              'command again to resume.', file=sys.stderr)
        sys.exit(130)
    describe(out, summary)
    if url:
        upload(out, url)


if __name__ == '__main__':
    main()
