r"""Compares the inference speed of backbones by one protocol.

    python benchmarks/inference.py --out work_dirs/inference \
        --quality work_dirs/robust/table.csv

Measures milliseconds per face, parameters and GMACs in torch eager mode, ONNX Runtime
and int8, on one thread, at batch sizes 1 and 8. Networks whose branches fuse are fused.
--networks adds the dictionary students and the complete pipeline of a teacher:
landmarks detected on the upsampled LR by MediaPipe, then the network with its
dictionary.

Weights are random, which does not change the time, and LR faces are synthetic. Before
the timing, each backend must match eager mode within 1e-3 (except for int8, which
rounds). The timed calls of all networks alternate, so that the load of the machine
affects all of them; the fastest call of each counts.

--out writes inference.md and inference.csv. With --quality, the table.csv of
configs/benchmark/robust.py, it also writes pareto.png: LPIPS against time.
"""

import argparse
import logging
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

_ROOT = Path(__file__).resolve().parents[1]
_LR_SIZE, _SCALE, _QUICK_LR_SIZE = 32, 8, 8
_ATOMS = 64
_BACKENDS = {'eager': 'torch', 'compile': 'torch.compile', 'onnx': 'ONNX Runtime',
             'int8': 'ONNX Runtime int8'}
_STUDENTS = ('tiny', 'small', 'base')
_DEFAULT = ('compact', *_STUDENTS, 'RCAN', 'SRFBN', 'SPAN', 'SAFMN', 'SRVGG')
_OTHERS = ('DistilledStudent-0.25', 'DistilledStudent', 'teacher')
_QUICK = ('small', 'teacher')
Call = Callable[[], Any]


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--networks', nargs='+', choices=[*_DEFAULT, *_OTHERS],
                        default=list(_DEFAULT), metavar='NAME',
                        help=f'of {", ".join(_DEFAULT)} (default: these), '
                        f'{", ".join(_OTHERS)}')
    parser.add_argument('--backends', nargs='+', choices=[*_BACKENDS], metavar='NAME',
                        default=['eager', 'onnx', 'int8'],
                        help=f'of {", ".join(_BACKENDS)} (default: eager onnx int8)')
    parser.add_argument('--threads', type=int, default=1,
                        help='threads of torch and ONNX Runtime (default: 1)')
    parser.add_argument('--batches', type=int, nargs='+', default=[1, 8], metavar='B',
                        help='batch sizes (default: 1 8)')
    parser.add_argument('--repeats', type=int, default=15,
                        help='most timed calls of each entry (default: 15)')
    parser.add_argument('--seconds', type=float, default=10.0,
                        help='no further timed call of an entry after this time '
                        '(default: 10)')
    parser.add_argument('--out', metavar='DIR', type=Path, help='folder of the files')
    parser.add_argument('--quality', metavar='CSV', type=Path,
                        help='table.csv of the benchmark over degradations')
    parser.add_argument('--degradations', nargs='+', default=['clean', 'JPEG 75'],
                        metavar='NAME', help='panels of the plot (default: clean and '
                        '"JPEG 75")')
    parser.add_argument('--quick', action='store_true',
                        help='two small networks at 64 px, to check that it works')
    arguments = parser.parse_args()
    if arguments.quality and not arguments.out:
        parser.error('--quality needs --out, the folder of the plot.')
    if arguments.quick:
        arguments.networks, arguments.batches = list(_QUICK), [2]
        arguments.repeats = 2
    return arguments


def network_config(name: str, quick: bool) -> dict:
    """Returns the config of a backbone by its name in the table."""
    encoder = (dict(type='fdsr.TinyEncoder') if quick else
               dict(arch='vgg19', pretrained=None))
    if name in _STUDENTS:
        from fdsr.utils.configs import read_config
        path = _ROOT / f'configs/students/{name}_robust.py'
        found = read_config(path).model.generator.to_dict()
        small = dict(channels=8, blocks=1, stage_channels=(8, 8), context_channels=8,
                     context_blocks=1)
        return {**found, **small} if quick else found
    if name == 'teacher':
        size = _SCALE * (_QUICK_LR_SIZE if quick else _LR_SIZE)
        return dict(type='fdsr.DictionaryTeacher', scale=_SCALE, encoder=encoder,
                    size=size, dictionary=dict(num_atoms=_ATOMS))
    if name.startswith('DistilledStudent'):
        width = dict(width=0.25) if name.endswith('0.25') else {}
        return dict(type='fdsr.DistilledStudent', scale=_SCALE, encoder=encoder,
                    **width)
    kind = 'CompactSR' if name == 'compact' else name
    return dict(type=f'fdsr.{kind}', scale=_SCALE)


@dataclass
class Entry:
    """The timed calls of one network, backend and batch size.

    Args:
        network: name of the network.
        backend: key of ``_BACKENDS``.
        batch: batch size.
        call: returns SR, (B, 3, H, W); None if it cannot run.
        note: the reason.
        times: seconds of each timed call.
    """

    network: str
    backend: str
    batch: int
    call: 'Call | None'
    note: str = ''
    times: List[float] = field(default_factory=list)

    @property
    def ms(self) -> float:
        """Milliseconds per face of the fastest call."""
        return min(self.times) / self.batch * 1e3

    def time_once(self) -> None:
        """Times one call."""
        start = time.perf_counter()
        self.call()
        self.times.append(time.perf_counter() - start)


class Case:
    """One network, fused and saved once, and its backends.

    Args:
        name: name in the table.
        config: config of the backbone.
        lr_size: side of the LR image.
        folder: folder for its files.
        threads: threads of an ONNX Runtime session.
    """

    def __init__(self, name: str, config: dict, lr_size: int, folder: Path,
                 threads: int) -> None:
        import torch

        import fdsr.models.backbones  # noqa: F401
        from fdsr.models.contract import add_traits
        from fdsr.models.files.checkpoints import save_backbone
        from fdsr.profiling.measuring import count_gmacs
        from fdsr.registry import MODELS
        from fdsr.weights import weights_follow
        torch.manual_seed(0)
        with weights_follow():  # random weights are intended
            self.network = MODELS.build(config).eval()
        if hasattr(self.network, 'dictionary'):
            self.network.dictionary.randomise_()
        if hasattr(self.network, 'fuse'):
            self.network.fuse()
            config = dict(config, fused=True)
        self.name, self.threads = name, threads
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.file = self.folder / 'network.pth'
        add_traits(self.network, dict(size=lr_size * _SCALE, eye_share=0.243))
        save_backbone(self.network, config, self.file)
        self.find_boxes = self._detector()
        self.parameters = sum(one.numel() for one in self.network.parameters())
        inputs = self.inputs(synthetic_faces(1, lr_size))
        self.gmacs = count_gmacs(lambda: self.network(*inputs))
        self._sessions: Dict[str, Any] = {}

    def _detector(self) -> 'Callable | None':
        if not self.network.uses_boxes:
            return None
        from fdsr.models.backbones.detected_boxes import DetectedBoxes
        return DetectedBoxes(self.network).find_boxes

    def inputs(self, lr: Any) -> Tuple[Any, ...]:
        """Returns the inputs of the network; detects landmarks if it needs boxes."""
        return (lr,) if self.find_boxes is None else (lr, self.find_boxes(lr)[0])

    def entries(self, lr: Any, backends: Sequence[str]) -> List[Entry]:
        """Returns checked entries, whose first calls have been made."""
        expected = self._eager(lr)()
        found = []
        for backend in backends:
            call, note = getattr(self, f'_{backend}')(lr), ''
            if isinstance(call, str):
                call, note = None, call
            else:
                check_equal(f'{self.name}, {backend}', call(), expected)
            found.append(Entry(self.name, backend, len(lr), call, note))
        return found

    def _eager(self, lr: Any) -> Call:
        return lambda: self.network(*self.inputs(lr)).numpy()

    def _compile(self, lr: Any) -> 'Call | str':
        if self.find_boxes is not None:
            return ('not compiled: the box sizes differ in each batch, and each size '
                    'would trigger a compilation')
        import torch
        torch._dynamo.reset()
        compiled = torch.compile(self.network, dynamic=False)

        def call() -> Any:
            return compiled(*self.inputs(lr)).numpy()
        try:
            call()
        except Exception as error:  # no compiler, or an unsupported graph
            return f'{type(error).__name__}: {str(error).splitlines()[0][:80]}'
        return call

    def _onnx(self, lr: Any) -> Call:
        return self._session('onnx', lr)

    def _int8(self, lr: Any) -> 'Call | str':
        if self.find_boxes is not None:
            return 'not quantized: quantized features select other atoms'
        return self._session('int8', lr)

    def _session(self, kind: str, lr: Any) -> Call:
        from fdsr.interchange.export import export_onnx
        from fdsr.interchange.export.checking import feed, session
        if kind not in self._sessions:
            path = self.folder / f'{kind}.onnx'
            export_onnx(self.file, path, int8=kind == 'int8')
            self._sessions[kind] = session(path, self.threads)
        running = self._sessions[kind]
        return lambda: running.run(['output'], feed(self.inputs(lr)))[0]


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
    rendered = DATASETS.build(dict(
        type='fdsr.SyntheticFacesDataset', size=lr_size * _SCALE, length=batch,
        eye_share=0.243, test_mode=True, pipeline=[]))
    faces = np.stack([resize(rendered[index]['img'], lr_size)
                      for index in range(batch)])
    return torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255


def measure(entries: Sequence[Entry], repeats: int, seconds: float) -> None:
    """Times all entries in turn: one call of each per round."""
    for number in range(repeats):
        for entry in entries:
            if entry.call and (not entry.times or sum(entry.times) < seconds):
                entry.time_once()
        print(f'round {number + 1} of {repeats}', file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> Tuple[List[Case], List[Entry]]:
    """Builds and measures all networks."""
    import torch
    lr_size = _QUICK_LR_SIZE if arguments.quick else _LR_SIZE
    with tempfile.TemporaryDirectory() as folder:
        cases = [Case(name, network_config(name, arguments.quick), lr_size,
                      Path(folder), arguments.threads) for name in arguments.networks]
        entries: List[Entry] = []
        with torch.inference_mode():
            for batch in arguments.batches:
                lr = synthetic_faces(batch, lr_size)
                found = [entry for case in cases
                         for entry in case.entries(lr, arguments.backends)]
                measure(found, arguments.repeats, arguments.seconds)
                entries += found
    return cases, entries


# Tables


def rows_of(cases: Sequence[Case], entries: Sequence[Entry]) -> List[dict]:
    """Returns one dict per entry for the CSV; speeds are relative to the first network.
    """
    ms = {(entry.network, entry.backend, entry.batch): entry.ms
          for entry in entries if entry.times}
    first = cases[0].name
    return [{
        'network': case.name, 'parameters': case.parameters, 'GMACs': case.gmacs,
        'backend': entry.backend, 'batch': entry.batch,
        'ms per face': entry.ms if entry.times else '',
        'faces per s': 1e3 / entry.ms if entry.times else '',
        'calls': len(entry.times),
        'ratio to eager': _ratio(ms.get((case.name, 'eager', entry.batch)), entry),
        f'speed relative to {first}': _ratio(
            ms.get((first, entry.backend, entry.batch)), entry),
        'note': entry.note
    } for case in cases for entry in entries if entry.network == case.name]


def _ratio(ms: 'float | None', entry: Entry) -> 'float | str':
    return ms / entry.ms if ms and entry.times else ''


def markdown(rows: Sequence[dict], protocol: str) -> str:
    """Returns the protocol and one row per network: ms per face, relative speed."""
    from fdsr.reporting.tables import markdown_table
    relative = next(name for name in rows[0] if name.startswith('speed'))
    columns = dict.fromkeys((row['backend'], row['batch']) for row in rows)
    cells: Dict[str, list] = {}
    for row in rows:
        line = cells.setdefault(row['network'], [
            row['network'], f'{row["parameters"] / 1e6:.2f}', f'{row["GMACs"]:.2f}'])
        ratio = row[relative] and f' ({row[relative]:.2f}×)'
        line.append(f'{row["ms per face"]:.1f}{ratio}' if row['ms per face'] else '–')
    # the rows of a network are sorted by batch, then by backend, as the columns
    header = ['network', 'parameters, M', 'GMACs', *(
        f'{_BACKENDS[backend]}, batch {batch}' for backend, batch in columns)]
    notes = dict.fromkeys(f'- {row["network"]}, {_BACKENDS[row["backend"]]}: '
                          f'{row["note"]}' for row in rows if row['note'])
    return '\n'.join([
        f'ms per face ({relative}). {protocol}', '',
        markdown_table(header, [*cells.values()]), *([''] if notes else []), *notes])


def protocol_of(arguments: argparse.Namespace) -> str:
    """Returns the conditions of the measurement in one sentence."""
    from fdsr.reporting.tables import flat
    from fdsr.utils.hardware import hardware
    lr_size = _QUICK_LR_SIZE if arguments.quick else _LR_SIZE
    return (f'{lr_size} to {lr_size * _SCALE} px, fp32 (except int8), fused, random '
            f'weights, synthetic faces, CPU, {arguments.threads} thread(s), fastest of '
            f'up to {arguments.repeats} calls within {arguments.seconds:g} s; '
            f'{flat(hardware())}.')


def times_of(rows: Sequence[dict]) -> Tuple[Dict[str, float], str]:
    """Returns ms per face of each network at the first batch size, and a label.

    The backend is ONNX Runtime, or else the first one.
    """
    backends, batch = [row['backend'] for row in rows], rows[0]['batch']
    backend = 'onnx' if 'onnx' in backends else backends[0]
    return {row['network']: row['ms per face'] for row in rows if row['ms per face']
            and (row['backend'], row['batch']) == (backend, batch)
            }, f'ms per face, {_BACKENDS[backend]}, batch {batch}'


def main() -> None:
    """Runs the benchmark.

    The final ratio is the speed of the first network in ONNX Runtime, relative to eager
    mode, at the largest batch size.
    """
    arguments = parse_args()
    warnings.simplefilter('ignore')
    logging.getLogger('torch').setLevel(logging.ERROR)
    import torch

    from fdsr.evaluation.protocol import write_rows
    from fdsr.utils.files import write_text
    if arguments.quality:
        from fdsr.benchmark.pareto import pareto_figure, read_quality
        quality = read_quality(arguments.quality, arguments.degradations)
    torch.set_num_threads(arguments.threads)
    rows = rows_of(*run(arguments))
    text = markdown(rows, protocol_of(arguments))
    print(text)
    if arguments.out:
        write_text(arguments.out / 'inference.md', text + '\n')
        write_rows(arguments.out / 'inference.csv', rows)
    if arguments.quality:
        pareto_figure(quality, *times_of(rows)).savefig(arguments.out / 'pareto.png')
    ratios = [row['ratio to eager'] for row in rows
              if row['network'] == rows[0]['network'] and row['backend'] == 'onnx']
    print(f'\ninference: ratio {ratios[-1] if ratios and ratios[-1] else 1:.2f}')


if __name__ == '__main__':
    main()
