r"""Restores aligned faces, and the faces in photographs and videos.

    fdsr face.png faces/ --out results
    fdsr 'photos/*.jpg' clip.mp4 --scale 4 --out results

An input is an image, a video, a folder of them, or a pattern. A small, square image
that one face fills is restored as an aligned face. In every other image, faces are
detected, restored and blended in; the rest is upsampled. The first frame of a video
decides for all. --aligned and --whole-photo override the decision. Results are PNG
files, or MP4 files with the sound for videos, in the folder of --out, with a row for
each input in results.csv. In a folder, hidden files are ignored; subfolders and what is
neither an image nor a video are skipped and listed. The exit code is 0 if every input
has a result, 1 if one has not, and 2 for a wrong command line.
"""

import argparse
import sys

from fdsr.cli.errors import report_errors

#: Skipped files that are printed; results.csv has all.
_MOST_NAMED = 20


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog='fdsr', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('inputs', nargs='+', metavar='INPUT',
                        help='image, video, folder or pattern')
    parser.add_argument('--out', required=True, metavar='DIR',
                        help='folder of the results')
    parser.add_argument('--weights', default='small', metavar='W',
                        help='self-describing file, config of a network without '
                        'parameters, or name of bundled weights (default: small)')
    parser.add_argument('--name', metavar='BACKBONE',
                        help="one of the file's backbones (default: the trained one)")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--aligned', dest='kind', action='store_const', const='face',
                      default='auto', help='every input is one aligned, square face '
                      '(default: decide for each input)')
    kind.add_argument('--whole-photo', dest='kind', action='store_const',
                      const='photo', help='every input is a photograph, whose faces '
                      'are detected (default: decide for each input)')
    parser.add_argument('--scale', type=int, default=2, choices=range(1, 9),
                        help='upsampling factor of photographs (default: 2)')
    parser.add_argument('--strength', type=float, default=1.0, metavar='S',
                        help='weight of the restored faces, from 0, the upsampled '
                        'input, to 1 (default: 1)')
    parser.add_argument('--large-faces', action='store_true',
                        help='also restore faces larger than the network supports; '
                        'they are downsampled first')
    parser.add_argument('--compare', action='store_true',
                        help='put the bicubically upsampled input beside each result')
    parser.add_argument('--detector', metavar='F',
                        help='face and landmark detector: mediapipe, yunet, or the '
                        'path of a YuNet model file *.onnx (default: mediapipe if '
                        'installed with its models, else yunet)')
    parser.add_argument('--device', default='auto', metavar='D',
                        help='cpu, cuda, … (default: a GPU if there is one)')
    parser.add_argument('--batch-size', type=int, default=8, metavar='B',
                        help='faces per forward pass (default: 8)')
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        parser.error(f'--batch-size: expected at least 1, found {options.batch_size}')
    if not 0 <= options.strength <= 1:
        parser.error(f'--strength: expected 0 to 1, found {options.strength:g}')
    return options


@report_errors
def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    options = parse_arguments(arguments)
    from pathlib import Path

    from fdsr.cli.inputs import find_jobs
    from fdsr.cli.outputs import ResultsFile
    skipped: list = []
    jobs = find_jobs(options.inputs, Path(options.out).expanduser(), skipped)
    from fdsr.apis import FaceSuperResolver
    from fdsr.cli.restoring import Restorer
    resolver = FaceSuperResolver(options.weights, options.device, options.name,
                                 batch_size=options.batch_size,
                                 **_detectors(options.detector))
    # opened last, so that a mistyped --weights keeps the results of an earlier run
    with ResultsFile(Path(options.out).expanduser()) as results:
        restorer = Restorer(resolver, options.kind, options.scale, options.strength,
                            options.large_faces, options.compare)
        _skip(skipped, results)
        failed = _run(restorer, jobs, results)
    print(f'{len(jobs) - failed} of {len(jobs)} restored'
          f'{f", {len(skipped)} skipped" if skipped else ""}; {results.path} has a row '
          'for each.')
    return 1 if failed else 0


def _detectors(name: str | None) -> dict:
    """Returns the arguments of ``FaceSuperResolver`` for --detector."""
    if name is None:
        return {}
    from fdsr.landmarks import named_detector
    return dict(landmarks=named_detector(name),
                photo_landmarks=named_detector(name, photo=True))


def _skip(skipped, results) -> None:
    """Reports what is neither an image nor a video in the folders."""
    from fdsr.cli.outputs import Result
    for number, (path, why) in enumerate(skipped):
        results.add(Result(str(path), status='skipped', message=why))
        if number < _MOST_NAMED:
            print(f'{path}: skipped: {why}', file=sys.stderr)
    if len(skipped) > _MOST_NAMED:
        print(f'… and {len(skipped) - _MOST_NAMED} more skipped, see {results.path}',
              file=sys.stderr)


def _run(restorer, jobs, results) -> int:
    """Runs the jobs with a progress bar and returns the number of failures."""
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


def console() -> None:
    """Entry point of the console script."""
    sys.exit(main())
