r"""Finds the face in every image of a folder, and writes VGGFace2's CSVs.

    python tools/extract_landmarks.py data/my_faces/train \
        data/my_faces/bb_landmark/loose_landmark_train.csv \
        --boxes data/my_faces/bb_landmark/loose_bb_train.csv \
        --list data/my_faces/train_list.txt --num-workers 4

SRC holds IDENTITY/IMAGE, or just images. Each image becomes a row of OUT and of
the boxes' CSV, or a row with the reason in the list of skipped ones. A run that was
stopped (Ctrl-C, a full disk, a power cut) goes on with the same command. Nothing is
downloaded.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Callable

from _arguments import parse_options, report_errors, whole_number


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', metavar='SRC', type=Path, help='folder of images')
    parser.add_argument('out', metavar='OUT.csv', type=Path,
                        help='five points of each face, to write or to go on with')
    parser.add_argument('--boxes', metavar='FILE', type=Path,
                        help='box of each face (default: OUT_bb.csv)')
    parser.add_argument('--skipped', metavar='FILE', type=Path,
                        help='images left out (default: skipped_OUT.csv)')
    parser.add_argument('--list', metavar='FILE', type=Path,
                        help='write the paths of the images that have a face, which '
                        'the dataset needs where they do not end in .jpg')
    parser.add_argument('--largest', action='store_true',
                        help='of several faces take the largest (default: skip)')
    parser.add_argument('--min-eyes', type=float, default=0, metavar='PX',
                        help='skip faces whose eyes are closer (default: 0)')
    parser.add_argument('--num-workers', type=whole_number(0), default=0, metavar='W',
                        help='processes that look for faces (default: 0, this one)')
    parser.add_argument('--detector', metavar='TYPE',
                        help='a registered landmark detector, mediapipe, yunet, or the '
                        'path of a YuNet model file *.onnx (default: mediapipe where '
                        'it is installed with its models, else yunet)')
    parser.add_argument('--detector-options', nargs='+', default=[],
                        metavar='KEY=VALUE', help='its arguments')
    args = parser.parse_args()
    args.boxes = args.boxes or args.out.with_name(f'{args.out.stem}_bb.csv')
    args.skipped = args.skipped or args.out.with_name(f'skipped_{args.out.stem}.csv')
    if args.list and args.list.absolute() in {
            path.absolute() for path in (args.out, args.boxes, args.skipped)}:
        parser.error(f'--list would overwrite {args.list}: name another file.')
    return args


class Progress:
    """A bar over all images whose time to go is that of those not done yet.

    Args:
        total: images.
        done: of them.
    """

    def __init__(self, total: int, done: int) -> None:
        from tqdm import tqdm
        self._bar = tqdm(total=total, initial=done, unit='picture', mininterval=1,
                         dynamic_ncols=True, smoothing=0.05)

    def __enter__(self) -> Callable[[int], Any]:
        return self._bar.update

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def run(args: argparse.Namespace) -> None:
    """Writes the files, and says what is in them."""
    from fdsr.landmarks import choosing
    from fdsr.preparation.landmarks import extraction
    from fdsr.preparation.landmarks.landmark_files import LandmarkFiles

    options = parse_options(args.detector_options, '--detector-options')
    detector = {**choosing.detector_config(args.detector), **options}
    settings = extraction.ExtractionSettings(detector, args.largest, args.min_eyes)
    images = extraction.find_images(args.source)
    # before a file is begun whose settings would have to stay
    extraction.ready_detector(settings.detector)
    with LandmarkFiles(args.out, args.boxes, args.skipped,
                       extraction.settings_as_json(settings)) as files:
        found = extraction.extract(args.source, images, files, settings, Progress,
                                   args.num_workers)
        if args.list:
            extraction.write_list(args.list, images, files)
    print(f'{args.out}\n{args.boxes}\n  {found.faces} faces of {found.images} '
          f'images, {found.done_now} of them now; detector {detector["type"]}')
    for reason, count in found.skipped.items():
        print(f'  {count} skipped: {reason}')
    if found.skipped:
        print(f'  which ones: {args.skipped}')


@report_errors
def main() -> None:
    """Runs the tool."""
    args = parse_args()
    try:
        run(args)
    except KeyboardInterrupt:
        print(f'Stopped. {args.out} has whole rows; the same command goes on.',
              file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
