"""Mutated config files and ``--cfg-options``."""

import itertools
import random
import runpy
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fdsr.engine.config import load_config
from tests.faults.fuzz import Case, mutations
from tests.faults.victims import ROOT

#: Overrides with their value, for the config ``teacher.py`` of the inputs.
VALUES = {
    'true': True, 'false': False, 'True': True, 'False': False, 'none': None,
    'None': None, '3': 3, '-1': -1, '1e-4': 1e-4, '2.5': 2.5, '[1,2]': [1, 2],
    '(1,2)': (1, 2), "'text'": 'text', 'text': 'text', 'a/b.pth': 'a/b.pth'}
KEYS = ('train_cfg.max_iters', 'randomness.seed', 'train_dataloader.batch_size',
        'train_dataloader.num_workers', 'val_dataloader.sampler.shuffle',
        'val_dataloader.dataset.test_mode', 'default_hooks.checkpoint.by_epoch',
        'model.generator.width', 'optim_wrapper.optimizer.lr', 'log_level')
_INSERTS = (b'\x00', b'\xff\xfe', b'\r', b'(', '\u00a0'.encode(), b'"""', b'\\')


def files(inputs: Path, draws: random.Random, count: int, canary: Path
          ) -> Iterator[Case]:
    """Yields mutated config files; a valid one has the values that Python gives it."""
    source = (inputs / 'teacher.py').read_bytes()
    kinds = mutations(draws)
    kinds.update(
        bom=lambda data: b'\xef\xbb\xbf' + data,
        crlf=lambda data: data.replace(b'\n', b'\r\n'),
        text=lambda data: _inserted(data, draws),
        line=lambda data: _without_line(data, draws))
    turns = itertools.islice(itertools.cycle(kinds), count)
    for number, mutation in enumerate(turns):
        data = kinds[mutation](source)
        yield Case('config file', f'{mutation} {number}',
                   partial(_write, data, f'config_{number}.py'),
                   _load, partial(_judge, data))


def _write(data: bytes, name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _load(path: Path) -> Any:
    return load_config(path, work_dir=str(path.parent / 'work'))


def _judge(data: bytes, config: Any) -> str:
    names: dict[str, Any] = {}
    try:
        exec(compile(data, 'config', 'exec'), names)
    except Exception:
        return 'silent failure'
    expected = {key: value for key, value in names.items()
                if not key.startswith('_') and key != 'work_dir'}
    return 'correct' if _contains(config.to_dict(), expected) else 'silent failure'


def _contains(found: Any, expected: Any) -> bool:
    """Returns whether a config has all expected values; it may have more."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in found and _contains(found[key], value)
            for key, value in expected.items())
    return found == expected or (found != found and expected != expected)


def _inserted(data: bytes, draws: random.Random) -> bytes:
    position = draws.randrange(len(data))
    return data[:position] + draws.choice(_INSERTS) + data[position:]


def _without_line(data: bytes, draws: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    del lines[draws.randrange(len(lines))]
    return b''.join(lines)


def options(inputs: Path, draws: random.Random, count: int, canary: Path
            ) -> Iterator[Case]:
    """Yields overrides, some with an unknown key, and some in two ``--cfg-options``."""
    config = inputs / 'teacher.py'
    for number in range(count):
        chosen = {key: draws.choice(list(VALUES)) for key in draws.sample(KEYS, 2)}
        mutation = ('known', 'twice', 'unknown')[number % 3]
        words = [f'{key}={text}' for key, text in chosen.items()]
        if mutation == 'twice':
            words.insert(1, '--cfg-options')
        if mutation == 'unknown':
            words[0] = _mistyped(next(iter(chosen)), draws) + '=1'
        yield Case('--cfg-options', f'{mutation} {number}: {" ".join(words)}',
                   lambda folder: folder, partial(_overridden, config, words),
                   partial(_judge_options, chosen, mutation),
                   tuple(_parts_of(words)))


def _parts_of(words: list[str]) -> Iterator[str]:
    """Yields the parts of the keys; an error names the first unknown part."""
    for word in words:
        yield from word.partition('=')[0].split('.')


def _mistyped(key: str, draws: random.Random) -> str:
    position = draws.randrange(len(key) - 1)
    while '.' in key[position:position + 2] or key[position] == key[position + 1]:
        position = draws.randrange(len(key) - 1)
    return (key[:position] + key[position + 1] + key[position]
            + key[position + 2:])


def _overridden(config: Path, words: list[str], folder: Path) -> Any:
    """Returns the config that ``tools/train.py`` uses."""
    sys.path.insert(0, str(ROOT / 'tools'))
    sys.argv = ['train.py', str(config), '--work-dir', str(folder / 'work'),
                '--cfg-options', *words]
    tool = runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='fuzz')
    arguments = tool['parse_arguments']()
    return load_config(arguments.config, **tool['common_options'](arguments))


def _judge_options(chosen: dict[str, str], mutation: str, config: Any) -> str:
    if mutation == 'unknown':
        return 'silent failure'
    for key, text in chosen.items():
        value: Any = config
        for part in key.split('.'):
            value = value[part]
        if value != VALUES[text] or type(value) is not type(VALUES[text]):
            return 'silent failure'
    return 'correct'
