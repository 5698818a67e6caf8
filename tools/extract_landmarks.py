r"""Extracts the landmarks of a folder of images to VGGFace2's CSVs.

    python tools/extract_landmarks.py data/my_faces/train \
        data/my_faces/bb_landmark/loose_landmark_train.csv \
        --boxes data/my_faces/bb_landmark/loose_bb_train.csv \
        --list data/my_faces/train_list.txt --num-workers 4

SRC contains IDENTITY/IMAGE, or images only. Each image becomes a row of OUT and of the
CSV of boxes, or a row with a reason in the CSV of skipped images. An interrupted run
(Ctrl-C, full disk, power failure) resumes with the same command. Nothing is downloaded.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _arguments import add_ray_argument, report_errors, whole_number


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='SRC',
                        help='folder of images, or its fsspec URL (s3://BUCKET/FOLDER)')
    parser.add_argument('out', metavar='OUT.csv', type=Path,
                        help='CSV of landmarks to write or resume')
    parser.add_argument('--boxes', metavar='FILE', type=Path,
                        help='CSV of boxes (default: OUT_bb.csv)')
    parser.add_argument('--skipped', metavar='FILE', type=Path,
                        help='CSV of skipped images (default: skipped_OUT.csv)')
    parser.add_argument('--list', metavar='FILE', type=Path,
                        help='write the paths of the images with a face, which the '
                        'dataset needs if a suffix is not .jpg')
    parser.add_argument('--largest', action='store_true',
                        help='use the largest of several faces (default: skip)')
    parser.add_argument('--min-eyes', type=float, default=0, metavar='PX',
                        help='minimum eye distance (default: 0)')
    parser.add_argument('--num-workers', type=whole_number(0), default=0, metavar='W',
                        help='worker processes (default: 0, no worker)')
    add_ray_argument(parser)
    parser.add_argument('--detector', metavar='TYPE',
                        help='a registered landmark detector, mediapipe, yunet, or the '
                        'path of a YuNet model file *.onnx (default: mediapipe if it '
                        'is installed with its models, otherwise yunet)')
    parser.add_argument('--detector-options', nargs='+', default=[],
                        metavar='KEY=VALUE', help='arguments of the detector')
    args = parser.parse_args()
    args.boxes = args.boxes or args.out.with_name(f'{args.out.stem}_bb.csv')
    args.skipped = args.skipped or args.out.with_name(f'skipped_{args.out.stem}.csv')
    if args.list and args.list.absolute() in {
            path.absolute() for path in (args.out, args.boxes, args.skipped)}:
        parser.error(f'--list would overwrite {args.list}: pass another file.')
    return args


@contextlib.contextmanager
def progress(total: int, done: int) -> Iterator[Callable[[int], Any]]:
    """Shows a progress bar over all images."""
    from tqdm import tqdm
    with tqdm(total=total, initial=done, unit='image', mininterval=1,
              dynamic_ncols=True, smoothing=0.05) as bar:
        yield bar.update


def run(args: argparse.Namespace) -> None:
    """Writes the files and prints a summary."""
    from fdsr.engine.config_options import parse_options
    from fdsr.landmarks import choosing
    from fdsr.preparation.executor import Executor
    from fdsr.preparation.landmarks import extraction
    from fdsr.preparation.landmarks.landmark_files import LandmarkFiles
    from fdsr.utils.storage import as_path

    executor = Executor(args.num_workers, args.ray)
    options = parse_options(args.detector_options, '--detector-options')
    detector = {**choosing.detector_config(args.detector), **options}
    settings = extraction.ExtractionSettings(detector, args.largest, args.min_eyes)
    source = as_path(args.source)
    images = extraction.find_images(source)
    # before files with these settings are created
    extraction.ready_detector(settings.detector)
    with LandmarkFiles(args.out, args.boxes, args.skipped, asdict(settings)) as files:
        found = extraction.extract(source, images, files, settings, progress,
                                   executor)
        if args.list:
            extraction.write_list(args.list, images, files)
    print(f'{args.out}\n{args.boxes}\n  {found.faces} faces of {found.images} images, '
          f'{found.done_now} of them in this run; detector {detector["type"]}')
    for reason, count in found.skipped.items():
        print(f'  {count} skipped: {reason}')
    if found.skipped:
        print(f'  list of skipped images: {args.skipped}')


@report_errors
def main() -> None:
    """Runs the tool."""
    args = parse_args()
    try:
        run(args)
    except KeyboardInterrupt:
        print(f'Interrupted. {args.out} contains complete rows; run the same command '
              'again to resume.', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
