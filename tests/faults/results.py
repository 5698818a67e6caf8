"""What a run leaves, as digests that are equal for bit-equal results."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

#: mmengine names folders and files of a run by its start.
_STAMP = re.compile(r'\d{8}_\d{6}')
#: Values that differ between two undisturbed runs.
_TIMES = re.compile(r'(^|/)(time|data_time|memory|eta|iter_time|exp_name|'
                    r'experiment_name|last_ckpt|cfg|hook_msgs|env_info|seconds)(/|$)')


def digests_of(out: Path, training: bool) -> dict[str, str]:
    """Returns the digests of a result, by name of the file or value.

    Args:
        out: folder of the result.
        training: the folder is the work directory of a training run. Its checkpoints
            are compared by value, and its logs by iteration.
    """
    found = {}
    for path in sorted(out.rglob('*')):
        name = str(path.relative_to(out))
        if path.is_dir() or (training and _STAMP.search(name)):
            continue
        if training and path.suffix == '.pth':
            found.update(_values(name, path, out))
        elif training and name == 'last_checkpoint':
            found[name] = path.read_text().strip().rpartition('/')[2]
        elif name.startswith('samples_rank'):
            found[name] = _digest(json.dumps(by_iteration(path)))
        elif path.name == 'results.csv':
            found[name] = _digest(_without_seconds(path.read_text()), out)
        elif training and path.suffix == '.py':
            # lines are broken by their length, and that depends on the folder's name
            text = path.read_text().replace(str(out), '')
            found[name] = _digest(''.join(text.split()))
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    if training:
        found['logs'] = _digest(json.dumps(logged(out)))
    return found


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Returns the names of missing, different and additional entries."""
    return ([f'missing {name}' for name in expected if name not in found]
            + [f'different {name}' for name in expected
               if name in found and found[name] != expected[name]]
            + [f'additional {name}' for name in found if name not in expected])


def leftovers(expected: Path, found: Path) -> list[str]:
    """Returns the files and folders that only a disturbed run has.

    Folders of mmengine's logs do not count: each start of a run has one. A lock file
    counts only if an undisturbed run has none.
    """
    names = [{str(path.relative_to(out)) for path in out.rglob('*')
              if not _STAMP.search(str(path.relative_to(out)))}
             for out in (expected, found)]
    return sorted(names[1] - names[0])


def by_iteration(path: Path) -> dict[str, Any]:
    """Returns the last line of each iteration in a file of JSON lines."""
    lines = {}
    for line in path.read_text().splitlines():
        if line.endswith('}'):  # the last one of a killed run may be cut
            content = json.loads(line)
            lines[str(content['iter'])] = content
    return {key: lines[key] for key in sorted(lines, key=int)}


def logged(work_dir: Path) -> dict[str, Any]:
    """Returns the scalars that a run logged in each iteration, over all its starts."""
    logs: dict[str, dict[str, Any]] = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            if not line.endswith('}'):
                continue
            values = {key: value for key, value in json.loads(line).items()
                      if not _TIMES.search(key)}
            if 'iter' in values:
                logs[str(values['iter'])] = values
    return {key: logs[key] for key in sorted(logs, key=int)}


def _values(name: str, path: Path, out: Path) -> Iterator[tuple[str, str]]:
    content = torch.load(path, map_location='cpu', weights_only=True)
    for key, value in _leaves(content, ''):
        if not _TIMES.search(key):
            yield f'{name}:{key}', _leaf(value, out)


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        yield f'{prefix}/length', len(value)
        for key, item in items:
            yield from _leaves(item, f'{prefix}/{key}' if prefix else str(key))
    else:
        yield prefix, value


def _leaf(value: Any, out: Path) -> str:
    if isinstance(value, torch.Tensor):
        array = value.detach().contiguous().view(torch.uint8) if value.dim() else value
        return _digest(f'{value.dtype}{tuple(value.shape)}'
                       + hashlib.sha256(np.asarray(array).tobytes()).hexdigest())
    return _STAMP.sub('', str(value).replace(str(out), ''))


def _without_seconds(text: str) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    place = rows[0].index('seconds')
    return json.dumps([row[:place] + row[place + 1:] for row in rows])


def _digest(text: str, out: Path | None = None) -> str:
    text = text if out is None else text.replace(str(out), '')
    return hashlib.sha256(text.encode()).hexdigest()
