"""The description in a model file, ``meta['fdsr']``: which fields, of which types.

``fdsr.checkpoints`` shows the format. All values are plain, and few enough to walk.
"""

import math
import re
from pathlib import Path
from typing import Any, Mapping

from fdsr.model_files.fitting import CheckpointMismatch

FORMAT = 1
#: More than any network needs; less than what takes long to walk.
_MAX_DEPTH, _MAX_ITEMS, _MAX_TEXT, _MAX_INTEGER = 16, 10_000, 4096, 2**31
#: Of faces: the largest side in pixels, and the largest factor from LR to SR.
MAX_SIZE, MAX_SCALE = 4096, 64
_SHA256 = re.compile(r'[0-9a-f]{64}')


def check_description(source: str | Path, facts: Any) -> None:
    """Checks that a file's ``meta['fdsr']`` has the fields that it must have.

    The configs of the backbones are plain data afterwards, and nested no deeper than
    16 levels; whether their networks may be built is up to ``build_network``.

    Args:
        source: the file.
        facts: the description.

    Raises:
        CheckpointMismatch: it has another format, or a field is missing, of another
            type or out of range; names the file and the field.
    """
    if not isinstance(facts, Mapping):
        raise _wrong(source, '', 'a dict', facts)
    if facts.get('format') != FORMAT:
        raise CheckpointMismatch(
            f'{source} has format {facts.get("format")!r}; this version of fdsr reads '
            f'{FORMAT}. Use the version that wrote it, or a newer one.')
    check_plain(source, dict(facts))
    backbones, default = facts.get('backbones'), facts.get('default')
    if not isinstance(backbones, dict) or not backbones:
        raise _wrong(source, 'backbones', 'a dict of networks by name', backbones)
    for name, config in backbones.items():
        if not isinstance(config, dict):
            raise _wrong(source, f'backbones.{name}', 'a config (a dict)', config)
    if not isinstance(default, str) or default not in backbones:
        raise _wrong(source, 'default', f'one of {", ".join(backbones)}', default)
    _check_external(source, facts.get('external'))
    _check_faces(source, facts.get('faces'))
    if not isinstance(facts.get('licence', ''), str):
        raise _wrong(source, 'licence', 'a text', facts['licence'])


def _check_external(source: str | Path, external: Any) -> None:
    if not isinstance(external, dict):
        raise _wrong(source, 'external', 'a dict of records by part', external)
    for part, record in external.items():
        where = f'external.{part}'
        if not isinstance(record, dict):
            raise _wrong(source, where, 'a record (a dict)', record)
        for field in ('path', 'sha256'):
            if not isinstance(record.get(field), str):
                raise _wrong(source, f'{where}.{field}', 'a text', record.get(field))
        if not _SHA256.fullmatch(record['sha256']):
            raise _wrong(source, f'{where}.sha256', '64 hex digits', record['sha256'])
        if not isinstance(record.get('member'), (str, type(None))):
            raise _wrong(source, f'{where}.member', 'a text', record['member'])


def _check_faces(source: str | Path, faces: Any) -> None:
    if faces is None:
        return
    if not isinstance(faces, dict):
        raise _wrong(source, 'faces', 'a dict', faces)
    for field, low, high in (('size', 1, MAX_SIZE), ('scale', 1, MAX_SCALE),
                             ('eye_share', 0.01, 1)):
        value = faces.get(field)
        if value is not None and not (
                type(value) in (int, float) and low <= value <= high):
            raise _wrong(source, f'faces.{field}', f'a number from {low} to {high}',
                         value)


def check_plain(source: str | Path, value: Any, where: str = '') -> None:
    """Checks that a value is made of dicts, lists, strings, numbers, booleans and None.

    Args:
        source: the file that it is from.
        value: the value.
        where: its path of keys in the description.

    Raises:
        CheckpointMismatch: it has another type in it, a key that is no string, or more
            depth, items, text or magnitude than any description needs.
    """
    left, found = _MAX_ITEMS, [(where, value, 0)]
    while found:
        path, item, depth = found.pop()
        left -= 1
        if left < 0 or depth > _MAX_DEPTH:
            raise CheckpointMismatch(
                f'{source}: the description is nested too deep or has too many values; '
                f'expected at most {_MAX_DEPTH} levels and {_MAX_ITEMS} values. '
                f'{_DAMAGED}')
        if type(item) is dict:
            _check_keys(source, path, item)
            found += [(f'{path}.{key}'.lstrip('.'), part, depth + 1)
                      for key, part in item.items()]
        elif type(item) in (list, tuple):
            left -= len(item)
            found += [(f'{path}[{index}]', part, depth + 1)
                      for index, part in enumerate(item[:_MAX_ITEMS])]
        else:
            _check_scalar(source, path, item)


def _check_keys(source: str | Path, where: str, item: dict) -> None:
    for key in item:
        if type(key) is not str or len(key) > _MAX_TEXT:
            raise _wrong(source, where, 'keys that are strings', key)


def _check_scalar(source: str | Path, where: str, item: Any) -> None:
    if item is None or type(item) is bool:
        return
    if type(item) is str:
        if len(item) > _MAX_TEXT or '\0' in item:
            raise _wrong(source, where, f'a text of at most {_MAX_TEXT} characters',
                         item)
    elif type(item) is int:
        if abs(item) >= _MAX_INTEGER:
            raise _wrong(source, where, 'an integer of 32 bits', item)
    elif type(item) is not float or not math.isfinite(item):
        raise _wrong(source, where, 'a plain, finite value', item)


_DAMAGED = 'The file is damaged, or was not written by this project.'


def _wrong(source: str | Path, field: str, expected: str,
           found: Any) -> CheckpointMismatch:
    text = 'nothing' if found is None else _short(found)
    field = f'meta["fdsr"]: {field}' if field else 'meta["fdsr"]'
    return CheckpointMismatch(
        f'{source} describes itself wrongly: {field}: expected {expected}, found '
        f'{text}. {_DAMAGED}')


def _short(value: Any) -> str:
    """Returns a value as text, or its type where the text could be long."""
    if type(value) is str:
        return repr(value[:60])
    if type(value) in (bool, float) or type(value) is int and abs(value) < 2**63:
        return repr(value)
    return f'a value of type {type(value).__name__}'
