"""Faces a second: torch eager, torch.compile, onnxruntime and int8, side by side.

    python benchmarks/inference.py [--threads 2] [--batches 1 8] [--repeats 5] [--quick]

CompactSR, the students, RCAN and SRFBN from LR to SR, and a teacher's whole pipeline:
landmarks found on the up-sampled LR by MediaPipe, then the network with its dictionary.
Weights are random, since their values change no time; LR faces are those that the
project draws. Before anything is timed, each way has to compute what eager computes, to
1e-3 (int8 apart, which rounds). Times are the best of several calls; the ratio is to
eager in the same run.
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
                        help='of torch and of onnxruntime (default: 2)')
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 8], metavar='B',
                        help='faces in one call (default: 1 8)')
    parser.add_argument('--repeats', type=int, default=5,
                        help='timed calls of each way (default: 5)')
    parser.add_argument('--quick', action='store_true',
                        help='small networks, 64 px: does it still run?')
    return parser.parse_args()


def networks(quick: bool) -> Dict[str, dict]:
    """Configs of what is measured, by the name in the table."""
    encoder = dict(arch='tiny') if quick else dict(arch='vgg19', pretrained=None)
    small = dict(channels=8, groups=1, blocks=1, reduction=2) if quick else {}
    students = {
        'CompactSR': dict(type='fdsr.CompactSR', scale=_SCALE),
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
    """One network, saved once, and the ways to run it.

    Args:
        config: of the backbone.
        lr_size: side of LR.
        folder: for its files.
        threads: of a session.
    """

    def __init__(self, config: dict, lr_size: int, folder: Path, threads: int) -> None:
        import torch

        import fdsr.models.backbones  # noqa: F401
        from fdsr.models.files.checkpoints import save_backbone
        from fdsr.registry import MODELS
        from fdsr.weights import weights_follow
        torch.manual_seed(0)
        with weights_follow():  # random, and meant to be
            self.network = MODELS.build(config).eval()
        if hasattr(self.network, 'dictionary'):
            self.network.dictionary.randomise_()
        self.folder, self.threads = folder, threads
        self.file = folder / 'network.pth'
        save_backbone(self.network, config, self.file, faces=dict(
            size=lr_size * _SCALE, scale=_SCALE, eye_share=0.243))
        self.find_boxes = self._detector()

    def _detector(self) -> Optional[Callable]:
        if not getattr(self.network, 'uses_boxes', False):
            return None
        from fdsr.models.backbones.detected_boxes import DetectedBoxes
        return DetectedBoxes(self.network).find_boxes

    def inputs(self, lr: Any) -> Tuple[Any, ...]:
        """What the network is called with; finds landmarks if it needs them."""
        return (lr,) if self.find_boxes is None else (lr, self.find_boxes(lr)[0])

    def ways(self, lr: Any) -> Iterator[Tuple[str, Optional[Call], str]]:
        """Each way's name, a call that returns SR, and what to say without one."""
        yield _EAGER, lambda: self.network(*self.inputs(lr)).numpy(), ''
        yield ('torch.compile', *self._compiled(lr))
        yield 'onnxruntime', self._session(False, lr), ''
        if self.find_boxes is None:
            yield 'onnxruntime int8', self._session(True, lr), ''

    def _compiled(self, lr: Any) -> Tuple[Optional[Call], str]:
        if self.find_boxes is not None:
            return None, ('not compiled: its windows have other sizes in each batch, '
                          'and each would be compiled anew')
        import torch
        torch._dynamo.reset()
        compiled = torch.compile(self.network, dynamic=False)

        def call() -> Any:
            return compiled(*self.inputs(lr)).numpy()
        try:
            call()
        except Exception as error:  # no compiler, or a graph that it cannot make
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


def check_equal(name: str, found: Any, wanted: Any) -> None:
    """Stops the benchmark where a way computes something else."""
    import numpy as np
    worst = float(np.abs(found - wanted).max())
    assert worst < 1e-3 or 'int8' in name, f'{name} is off by {worst:.1e}'


def drawn_faces(batch: int, lr_size: int) -> Any:
    """(B, 3, h, h) RGB in [0, 1]."""
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
    """Prints a row for each way, and returns onnxruntime's ratio to eager."""
    import torch

    from fdsr.profiling.measuring import Clock
    clock = Clock(torch.device('cpu'), 1, repeats)
    lr, wanted, ratios = drawn_faces(batch, lr_size), None, {}
    eager = 0.0
    for way, call, reason in case.ways(lr):
        if call is None:
            print(f'| {name} | {batch} | {way} | – | – | {reason} |', flush=True)
            continue
        found = call()
        wanted = found if wanted is None else wanted
        check_equal(f'{name}, {way}', found, wanted)
        speed = batch / min(clock.milliseconds(call)) * 1e3
        eager = eager or speed
        ratios[way] = speed / eager
        print(f'| {name} | {batch} | {way} | {speed:.2f} | {speed / eager:.2f} | |',
              flush=True)
    return ratios.get('onnxruntime')


def run(arguments: argparse.Namespace) -> List[float]:
    """Measures everything; onnxruntime's ratios in the order of the table."""
    import torch
    lr_size = _QUICK_LR_SIZE if arguments.quick else _LR_SIZE
    batches: Sequence[int] = [2] if arguments.quick else arguments.batches
    print(f'{lr_size} to {lr_size * _SCALE} px, fp32 (int8 apart), random weights, '
          f'drawn faces, CPU, {arguments.threads} thread(s), best of '
          f'{arguments.repeats}, torch {torch.__version__}; teacher: {_ATOMS} atoms\n')
    print('| network | batch | way | faces/s ↑ | ratio to eager ↑ | |\n'
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
    """Runs the benchmark; the headline is CompactSR at the largest batch."""
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
