"""Mutated inputs: each gives the correct result or a named error."""

import contextlib
import functools
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdsr.cli.errors import _explanation

#: Limits of one input: seconds, and memory that it may take, in MiB.
MOST_SECONDS, MOST_MIB = 15.0, 1024
#: Seconds after which a process that does not return counts as hung.
_HUNG = 60.0
#: Address space beyond that of the loaded libraries, so that a bomb fails at once.
_ADDRESS_SPACE = 6 << 30
_BATCH = 150
#: ``valid``: the encoding has no checksum, and the bytes are another valid content.
GOOD = ('correct', 'valid', 'named error')
_KINDS = {
    'model.pth': 'checkpoint, bytes', 'legacy.pth': 'checkpoint of old torch, bytes',
    'described.pth': 'checkpoint, content', 'model.safetensors': 'safetensors, bytes',
    'manifest.json': 'manifest', 'index.npy': 'manifest, index.npy',
    'pictures.lmdb': 'LMDB', '0000.jpg': 'prepared image', 'landmarks.csv': 'CSV'}
OUTCOMES = (*GOOD, 'raw error', 'silent failure', 'crash', 'too slow', 'too large',
            'code executed')


@dataclass(frozen=True)
class Case:
    """A mutated input.

    Args:
        kind: kind of the input, a row of the report.
        name: mutation and number; with the seed, it fixes the input.
        write: writes the input into a new folder and returns its path.
        load: reads the input.
        judge: classifies the result as ``correct``, ``valid`` or ``silent failure``.
        names: an error has to contain one of them; default: the name of the file.
    """

    kind: str
    name: str
    write: Callable[[Path], Path]
    load: Callable[[Path], Any]
    judge: Callable[[Any], str]
    names: tuple[str, ...] = ()


def all_cases(inputs: Path, seed: int, count: int, canary: Path) -> list[Case]:
    """Returns the mutated inputs of every kind.

    Args:
        inputs: folder of ``victims.make_inputs``.
        seed: seed of the mutations.
        count: number of inputs; the kinds share it.
        canary: a file that code in an input would create.
    """
    from tests.faults import fuzz_code, fuzz_configs, fuzz_images
    makers = [(fuzz_images.cases, 5), (fuzz_configs.files, 2),
              (fuzz_configs.options, 1), (fuzz_code.cases, 1)]
    if importlib.util.find_spec('tests.faults.fuzz_files'):
        makers.append((_file_cases, 8))
    total = sum(share for _, share in makers)
    found = []
    for maker, share in makers:
        draws = random.Random(f'{seed} {maker.__module__}.{maker.__name__}')
        found += maker(inputs, draws, -(-count * share // total), canary)
    return found


def _file_cases(inputs: Path, draws: random.Random, count: int, canary: Path
                ) -> Iterator[Case]:
    """Yields the damaged files of ``fuzz_files``, whose loaders compare the result."""
    from tests.faults import fuzz_files
    for case in fuzz_files.cases(draws.randrange(2**31), count):
        file = case.name.split()[0].rpartition('/')[2]
        yield Case(_KINDS.get(file, f'prepared {file}'), case.name, case.mutate,
                   functools.partial(_load_file, case.load, canary), str)


def _load_file(load: Callable[[Path], Any], canary: Path, path: Path) -> str:
    try:
        load(path)
    except AssertionError as error:  # fuzz_files.Silent: another result
        return f'silent failure: {error}'
    finally:
        if (path.parent / canary.name).exists():
            canary.touch()
    return 'correct'


def run_fuzz(work: Path, inputs: Path, seed: int, count: int, until: float,
             show: Callable[[str], None]) -> dict[str, Any]:
    """Loads every mutated input in forked processes.

    Returns:
        ``rows`` of the report, ``failures``, and ``notes`` on what was not done.
    """
    work.mkdir(parents=True, exist_ok=True)
    canary = work / 'ran'  # a name without a folder: code runs in ``work``
    cases = all_cases(inputs, seed, count, canary)
    outcomes: list[dict[str, Any]] = []
    for outcome in _outcomes(cases, work, canary, until):
        outcomes.append(outcome)
        if outcome['outcome'] not in GOOD:
            show(json.dumps(outcome))
    notes = [] if len(outcomes) == len(cases) else [
        f'the time ended after {len(outcomes)} of {len(cases)} inputs']
    return dict(rows=rows_of(outcomes), notes=notes,
                failures=[one for one in outcomes if one['outcome'] not in GOOD])


def rows_of(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns a row for each kind of input, and their total."""
    rows = []
    kinds = list(dict.fromkeys(one['kind'] for one in outcomes))
    for kind in [*kinds, 'total']:
        mine = [one for one in outcomes if kind in ('total', one['kind'])]
        counts = {outcome: sum(one['outcome'] == outcome for one in mine)
                  for outcome in OUTCOMES}
        rows.append({
            'kind': kind, 'inputs': len(mine), **counts,
            'most seconds': max((one['seconds'] for one in mine), default=0),
            'most MiB': max((one['mib'] for one in mine), default=0)})
    return rows


def _outcomes(cases: list[Case], work: Path, canary: Path, until: float
              ) -> Iterator[dict[str, Any]]:
    """Loads the cases in batches; one that ends its process is a crash."""
    position = 0
    while position < len(cases) and time.monotonic() < until:
        batch = cases[position:position + _BATCH]
        found = _run_batch(batch, work, canary)
        yield from found
        position += len(found)


def _run_batch(batch: list[Case], work: Path, canary: Path) -> list[dict[str, Any]]:
    record = work / 'outcomes.jsonl'
    record.write_text('')
    pid = os.fork()
    if pid == 0:
        _child(batch, work, canary, record)
    size, since = 0, time.monotonic()
    hung = False
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        if record.stat().st_size != size:
            size, since = record.stat().st_size, time.monotonic()
        if time.monotonic() - since > _HUNG and not hung:
            hung = True
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    found = [json.loads(line) for line in record.read_text().splitlines()]
    if len(found) < len(batch):
        case = batch[len(found)]
        found.append(_row(case, 'too slow' if hung else 'crash', _HUNG if hung else 0,
                          0, f'status {os.waitstatus_to_exitcode(status)}'))
    return found


def _row(case: Case, outcome: str, seconds: float, mib: float, message: str
         ) -> dict[str, Any]:
    return dict(kind=case.kind, name=case.name, outcome=outcome,
                seconds=round(seconds, 2), mib=round(mib), message=message)


def _child(batch: list[Case], work: Path, canary: Path, record: Path) -> None:
    """Body of the forked process; never returns."""
    code = 1
    try:
        log = os.open(work / 'log.txt', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(work)
        warnings.simplefilter('ignore')
        most = _memory('VmSize') + _ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with record.open('w') as file:
            for number, case in enumerate(batch):
                folder = work / f'case_{number}'
                print(json.dumps(try_case(case, folder, canary)), file=file, flush=True)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def try_case(case: Case, folder: Path, canary: Path) -> dict[str, Any]:
    """Loads one input and returns its outcome, duration and memory."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = case.write(folder)
    before = _reset_peak()
    started = time.monotonic()
    message = ''
    try:
        outcome, _, message = case.judge(case.load(path)).partition(': ')
    except (Exception, SystemExit) as error:
        outcome = 'named error' if is_named(
            error, case.names or (path.name, path.parent.name)) else 'raw error'
        message = f'{type(error).__name__}: {error}'.replace(str(folder), '')[:300]
    seconds, mib = time.monotonic() - started, (_memory('VmHWM') - before) / 2**20
    if canary.exists():
        outcome = 'code executed'
        (shutil.rmtree if canary.is_dir() else os.remove)(canary)
    elif outcome in GOOD and seconds > MOST_SECONDS:
        outcome = 'too slow'
    elif outcome in GOOD and mib > MOST_MIB:
        outcome = 'too large'
    if outcome in GOOD:
        shutil.rmtree(folder)
    return _row(case, outcome, seconds, mib, message)


def is_named(error: BaseException, names: tuple[str, ...]) -> bool:
    """Returns whether a tool would end with a sentence that names the input."""
    if isinstance(error, SystemExit):  # argparse prints its message
        return error.code == 2 or ' ' in str(error.code)
    text = _explanation(error)
    return text is not None and any(name in text for name in names)


def _memory(name: str) -> int:
    """Returns a value of this process's memory in bytes."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{name}:'):
            return int(line.split()[1]) * 1024
    return 0


def _reset_peak() -> int:
    """Resets the peak of the resident memory and returns the current value."""
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')
    return _memory('VmRSS')


def mutations(draws: random.Random) -> dict[str, Callable[[bytes], bytes]]:
    """Returns mutations of bytes by name; each call draws new positions."""
    return dict(
        bits=lambda data: _changed(data, draws, 1),
        bytes=lambda data: _changed(data, draws, 16),
        cut=lambda data: data[:draws.randrange(len(data))],
        zeros=lambda data: _zero_tail(data, draws.randrange(len(data))),
        insert=lambda data: _spliced(data, draws, 0, 1 + draws.randrange(64)),
        delete=lambda data: _spliced(data, draws, 1 + draws.randrange(64), 0),
        swap=lambda data: _swapped(data, draws),
        append=lambda data: data + draws.randbytes(1 + draws.randrange(200)),
        number=lambda data: _large_number(data, draws))


def _changed(data: bytes, draws: random.Random, most: int) -> bytes:
    changed = bytearray(data)
    for _ in range(1 + draws.randrange(most)):
        position = draws.randrange(len(data))
        changed[position] = (changed[position] ^ 1 << draws.randrange(8) if most == 1
                             else draws.randrange(256))
    return bytes(changed)


def _zero_tail(data: bytes, position: int) -> bytes:
    return data[:position] + bytes(len(data) - position)


def _spliced(data: bytes, draws: random.Random, removed: int, added: int) -> bytes:
    position = draws.randrange(len(data))
    return data[:position] + draws.randbytes(added) + data[position + removed:]


def _swapped(data: bytes, draws: random.Random) -> bytes:
    size = 1 + draws.randrange(max(1, len(data) // 8))
    first = draws.randrange(max(1, len(data) // 2 - size))
    second = len(data) // 2 + draws.randrange(max(1, len(data) // 2 - size))
    return (data[:first] + data[second:second + size] + data[first + size:second]
            + data[first:first + size] + data[second + size:])


def _large_number(data: bytes, draws: random.Random) -> bytes:
    """Overwrites a number in the header with an extreme one."""
    size = draws.choice((1, 2, 4, 8))
    position = draws.randrange(max(1, min(96, len(data) - size)))
    value = draws.choice((0, 1, 2**(8 * size - 1) - 1, 2**(8 * size) - 1))
    number = value.to_bytes(size, draws.choice(('big', 'little')))
    return data[:position] + number + data[position + size:]


def drawn(names: Iterable[str], count: int) -> Iterator[tuple[str, int]]:
    """Yields names in turn, with the number of the case."""
    names = list(names)
    for number in range(count):
        yield names[number % len(names)], number


if sys.platform != 'linux':
    raise ImportError('The fault campaign reads /proc, so it needs Linux.')
