"""Compares the speed of torch eager, torch.compile, onnxruntime and int8.

    python benchmarks/inference.py [--threads 2] [--batches 1 8] [--repeats 5] [--quick]

Measures CompactSR, the students, RCAN and SRFBN, and the complete pipeline of a
teacher: landmarks detected on the upsampled LR by MediaPipe, then the network with its
dictionary. Weights are random, which does not change the time, and LR faces are
synthetic. Before the timing, each backend must match eager mode within 1e-3 (except for
int8, which rounds). Times are the best of several calls. Ratios are relative to eager
mode in the same run.
"""

import argparse
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

_LR_SIZE, _SCALE, _QUICK_LR_SIZE = 32, 8, 8
_ATOMS = 64
_EAGER = 'torch eager'
Call = Callable[[], Any]


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--threads', type=int, default=2,
                        help='threads of torch and onnxruntime (default: 2)')
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 8], metavar='B',
                        help='batch sizes (default: 1 8)')
    parser.add_argument('--repeats', type=int, default=5,
                        help='timed calls of each backend (default: 5)')
    parser.add_argument('--quick', action='store_true',
                        help='small networks at 64 px, to check that it works')
    return parser.parse_args()


def networks(quick: bool) -> Dict[str, dict]:
    """Returns the configs of the networks, by their name in the table."""
    encoder = (dict(type='fdsr.TinyEncoder') if quick else
               dict(arch='vgg19', pretrained=None))
    small = dict(channels=8, groups=1, blocks=1, reduction=2) if quick else {}
    compact = dict(channels=8, blocks=1, stage_channels=(8, 8, 8), reduction=4
                   ) if quick else {}
    students = {
        'CompactSR': dict(type='fdsr.CompactSR', scale=_SCALE, **compact),
        'DistilledStudent, width 0.25': dict(
            type='fdsr.DistilledStudent', scale=_SCALE, encoder=encoder, width=0.25),
        'DistilledStudent': dict(
            type='fdsr.DistilledStudent', scale=_SCALE, encoder=encoder),
        'RCAN': dict(type='fdsr.RCAN', scale=_SCALE, **small),
        'SRFBN': dict(type='fdsr.SRFBN', scale=_SCALE),
        'teacher with landmarks': dict(
            type='fdsr.DictionaryTeacher', scale=_SCALE, encoder=encoder,
            size=_SCALE * (_QUICK_LR_SIZE if quick else _LR_SIZE),
            dictionary=dict(num_atoms=_ATOMS)),
    }
    if quick:
        return {name: students[name]
                for name in ('CompactSR', 'teacher with landmarks')}
    return students


class Case:
    """One network, saved once, and its backends.

    Args:
        config: config of the backbone.
        lr_size: side of the LR image.
        folder: folder for its files.
        threads: threads of an onnxruntime session.
    """

    def __init__(self, config: dict, lr_size: int, folder: Path, threads: int) -> None:
        import torch

        import fdsr.models.backbones  # noqa: F401
        from fdsr.models.contract import add_traits
        from fdsr.models.files.checkpoints import save_backbone
        from fdsr.registry import MODELS
        from fdsr.weights import weights_follow
        torch.manual_seed(0)
        with weights_follow():  # random weights are intended
            self.network = MODELS.build(config).eval()
        if hasattr(self.network, 'dictionary'):
            self.network.dictionary.randomise_()
        self.folder, self.threads = folder, threads
        self.file = folder / 'network.pth'
        add_traits(self.network, dict(size=lr_size * _SCALE, eye_share=0.243))
        save_backbone(self.network, config, self.file)
        self.find_boxes = self._detector()

    def _detector(self) -> Optional[Callable]:
        if not self.network.uses_boxes:
            return None
        from fdsr.models.backbones.detected_boxes import DetectedBoxes
        return DetectedBoxes(self.network).find_boxes

    def inputs(self, lr: Any) -> Tuple[Any, ...]:
        """Returns the inputs of the network; detects landmarks if it needs boxes."""
        return (lr,) if self.find_boxes is None else (lr, self.find_boxes(lr)[0])

    def backends(self, lr: Any) -> Iterator[Tuple[str, Optional[Call], str]]:
        """Yields a backend's name, a call that returns SR, or else the reason."""
        yield _EAGER, lambda: self.network(*self.inputs(lr)).numpy(), ''
        yield ('torch.compile', *self._compiled(lr))
        yield 'onnxruntime', self._session(False, lr), ''
        if self.find_boxes is None:
            yield 'onnxruntime int8', self._session(True, lr), ''

    def _compiled(self, lr: Any) -> Tuple[Optional[Call], str]:
        if self.find_boxes is not None:
            return None, ('not compiled: the box sizes differ in each batch, and each '
                          'size would trigger a compilation')
        import torch
        torch._dynamo.reset()
        compiled = torch.compile(self.network, dynamic=False)

        def call() -> Any:
            return compiled(*self.inputs(lr)).numpy()
        try:
            call()
        except Exception as error:  # no compiler, or an unsupported graph
            return None, f'{type(error).__name__}: {str(error).splitlines()[0][:80]}'
        return call, ''

    def _session(self, int8: bool, lr: Any) -> Call:
        from fdsr.interchange.export import export_onnx
        from fdsr.interchange.export.checking import feed, session
        path = self.folder / ('int8.onnx' if int8 else 'network.onnx')
        if not path.is_file():
            export_onnx(self.file, path, int8=int8)
        running = session(path, self.threads)
        return lambda: running.run(['sr'], feed(self.inputs(lr)))[0]


def check_equal(name: str, found: Any, expected: Any) -> None:
    """Stops the benchmark if a backend computes different values."""
    import numpy as np
    worst = float(np.abs(found - expected).max())
    assert worst < 1e-3 or 'int8' in name, f'{name} differs by {worst:.1e}'


def synthetic_faces(batch: int, lr_size: int) -> Any:
    """Returns (B, 3, h, h) RGB in [0, 1]."""
    import numpy as np
    import torch

    import fdsr.datasets  # noqa: F401
    from fdsr.geometry.alignment import resize
    from fdsr.registry import DATASETS
    drawn = DATASETS.build(dict(
        type='fdsr.SyntheticFacesDataset', size=lr_size * _SCALE, length=batch,
        eye_share=0.243, test_mode=True, pipeline=[]))
    faces = np.stack([resize(drawn[index]['img'], lr_size) for index in range(batch)])
    return torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255


def measure(case: Case, name: str, batch: int, lr_size: int, repeats: int
            ) -> Optional[float]:
    """Prints a row for each backend and returns onnxruntime's ratio to eager."""
    import torch

    from fdsr.profiling.measuring import Clock
    clock = Clock(torch.device('cpu'), 1, repeats)
    lr, expected, ratios = synthetic_faces(batch, lr_size), None, {}
    eager = 0.0
    for backend, call, reason in case.backends(lr):
        if call is None:
            print(f'| {name} | {batch} | {backend} | – | – | {reason} |', flush=True)
            continue
        found = call()
        expected = found if expected is None else expected
        check_equal(f'{name}, {backend}', found, expected)
        speed = batch / min(clock.milliseconds(call)) * 1e3
        eager = eager or speed
        ratios[backend] = speed / eager
        print(f'| {name} | {batch} | {backend} | {speed:.2f} | {speed / eager:.2f} | |',
              flush=True)
    return ratios.get('onnxruntime')


def run(arguments: argparse.Namespace) -> List[float]:
    """Measures all networks and returns onnxruntime's ratios in table order."""
    import torch
    lr_size = _QUICK_LR_SIZE if arguments.quick else _LR_SIZE
    batches: Sequence[int] = [2] if arguments.quick else arguments.batches
    print(f'{lr_size} to {lr_size * _SCALE} px, fp32 (except int8), random weights, '
          f'synthetic faces, CPU, {arguments.threads} thread(s), best of '
          f'{arguments.repeats}, torch {torch.__version__}; teacher: {_ATOMS} atoms\n')
    print('| network | batch | backend | faces/s ↑ | ratio to eager ↑ | |\n'
          '|---|---:|---|---:|---:|---|')
    ratios = []
    for name, config in networks(arguments.quick).items():
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            with torch.inference_mode(False):
                case = Case(config, lr_size, Path(folder), arguments.threads)
            ratios += [measure(case, name, batch, lr_size, arguments.repeats)
                       for batch in batches]
    return ratios


def main() -> None:
    """Runs the benchmark. The final ratio is CompactSR's at the largest batch size."""
    arguments = parse_args()
    warnings.simplefilter('ignore')
    logging.getLogger('torch').setLevel(logging.ERROR)
    import torch
    torch.set_num_threads(arguments.threads)
    ratios = run(arguments)
    first = ratios[0 if arguments.quick else len(arguments.batches) - 1]
    print(f'\ninference: ratio {first:.2f}')


if __name__ == '__main__':
    main()
