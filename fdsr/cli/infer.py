r"""Super-resolves faces: cut out, in whole photographs, in videos.

    fdsr face.png faces/ --out results
    fdsr 'photos/*.jpg' clip.mp4 --whole-photo --scale 4 --out results

An input is a picture, a video, a folder of them, or a pattern. Without --whole-photo
each picture is one face, cut out as a square; with it, faces are found, restored and
pasted back. Results are PNG (MP4 without sound for videos) in the folder of --out,
beside results.csv with a row for each input. The exit code is 0 if there is a result
of every input, 1 if there is not, 2 for a wrong command line.
"""

import argparse
import sys
from typing import List, Optional

from fdsr.cli.errors import report_errors


def parse_arguments(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog='fdsr', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('inputs', nargs='+', metavar='INPUT',
                        help='picture, video, folder or pattern')
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='folder of the results')
    parser.add_argument('--weights', default='compact', metavar='W',
                        help='a file that describes itself, a config of a network '
                        'without weights, or the name of weights that come along '
                        '(default: compact)')
    parser.add_argument('--name', metavar='BACKBONE',
                        help="which of the file's backbones (default: the trained one)")
    parser.add_argument('--whole-photo', action='store_true',
                        help='find the faces of photographs and paste them back')
    parser.add_argument('--scale', type=int, default=2, choices=range(1, 9),
                        help='of restored photographs (default: 2)')
    parser.add_argument('--large-faces', action='store_true',
                        help='restore also faces larger than what the network is made '
                        'for: they are made small first')
    parser.add_argument('--compare', action='store_true',
                        help='put the bicubically up-sampled input beside each result')
    parser.add_argument('--detector', metavar='F',
                        help='what finds faces and landmarks: mediapipe, yunet, or the '
                        'path of a YuNet model file *.onnx (default: mediapipe where '
                        'it is installed with its models, else yunet)')
    parser.add_argument('--device', default='auto', metavar='D',
                        help='cpu, cuda, … (default: a GPU if there is one)')
    parser.add_argument('--batch-size', type=int, default=8, metavar='B',
                        help='faces in one forward (default: 8)')
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        parser.error(f'--batch-size has to be at least 1, found {options.batch_size}')
    return options


@report_errors
def main(arguments: Optional[List[str]] = None) -> int:
    """Runs the command and returns its exit code."""
    options = parse_arguments(arguments)
    from pathlib import Path

    from fdsr.cli.inputs import find_jobs
    from fdsr.cli.outputs import ResultsFile
    jobs = find_jobs(options.inputs, Path(options.out).expanduser())
    from fdsr.apis import FaceSuperResolver
    from fdsr.cli.restoring import Restorer
    resolver = FaceSuperResolver(options.weights, options.device, options.name,
                                 batch_size=options.batch_size,
                                 **_detectors(options.detector))
    # not before: a mistyped --weights leaves the results of an earlier run alone
    results = ResultsFile(Path(options.out).expanduser())
    restorer = Restorer(resolver, options.whole_photo, options.scale,
                        options.large_faces, options.compare, _show_frames)
    failed = _run(restorer, jobs, results)
    results.close()
    print(f'{len(jobs) - failed} of {len(jobs)} restored; {results.path} has a row for '
          'each.')
    return 1 if failed else 0


def _detectors(name: Optional[str]) -> dict:
    """The arguments of ``FaceSuperResolver`` for a detector named by --detector."""
    if name is None:
        return {}
    from fdsr.landmarks import named_detector
    return dict(landmarks=named_detector(name),
                photo_landmarks=named_detector(name, photo=True))


def _run(restorer, jobs, results) -> int:
    """Does the jobs, shows how far it is, and returns how many failed."""
    from tqdm import tqdm
    failed = 0
    with tqdm(total=len(jobs), unit='file', disable=None) as progress:
        for result in restorer.restore(jobs):
            results.add(result)
            if result.failed:
                failed += 1
                progress.write(f'{result.input}: {result.status}: {result.message}',
                               file=sys.stderr)
            progress.update()
    return failed


def _show_frames(frames, total):
    """Shows how far a video is, below the files."""
    from tqdm import tqdm
    return tqdm(frames, total=total or None, unit='frame', disable=None, position=1,
                leave=False)


def console() -> None:
    """What the console script calls."""
    sys.exit(main())
