"""Validation of the description in a model file, ``meta['fdsr']``.

``fdsr.models.files.checkpoints`` documents the format. All values are plain, and their
number is limited.
"""

import re
from pathlib import Path
from typing import Any, Mapping

from fdsr.models.contract import MAX_SCALE, MAX_SIZE, Traits
from fdsr.models.files.fitting import CheckpointMismatch
from fdsr.weights import RefusedCheckpointError
from fdsr.weights.plain import LONG_TEXT, MANY_VALUES, NotPlain, check_plain
from fdsr.weights.walking import brief, short

FORMAT = 1
_FACTS = 'meta["fdsr"]'
_SHA256 = re.compile(r'[0-9a-f]{64}')


def check_meta(source: str | Path, meta: Any) -> None:
    """Checks that the whole ``meta`` of a file is plain data of limited size.

    Args:
        source: the file.
        meta: a dict with the description, the licence and metadata of the run.

    Raises:
        CheckpointMismatch: it is not, or the licence is not a string.
    """
    check_data(source, meta, 'meta', values=MANY_VALUES, text=LONG_TEXT)
    origin = meta.get('converted_from')
    for where, holder in (('meta', meta), ('meta.converted_from', origin)):
        licence = holder.get('licence') if isinstance(holder, dict) else None
        check_data(source, licence, f'{where}.licence')
        if not isinstance(licence, (str, type(None))):
            raise wrong(source, f'{where}.licence', 'a string', short(licence))


def check_description(source: str | Path, facts: Any) -> None:
    """Checks that ``meta['fdsr']`` of a file has the required fields.

    This guarantees that the configs of the backbones are plain data with at most 16
    levels of nesting. ``build_network`` checks which networks they may build.

    Args:
        source: the file.
        facts: the description.

    Raises:
        CheckpointMismatch: the format is unsupported, or a field is missing, has the
            wrong type or is out of range; the message names the file and the field.
    """
    if not isinstance(facts, Mapping):
        raise _wrong(source, '', 'a dict', facts)
    version = facts.get('format')
    if type(version) is not int or version != FORMAT:
        raise CheckpointMismatch(
            f'{source} has format {short(version)}; this version of fdsr reads '
            f'{FORMAT}. Use the version that wrote it, or a newer one.')
    check_data(source, dict(facts))
    for name in ('backbones', 'external'):
        for key in facts[name] if isinstance(facts.get(name), dict) else ():
            if type(key) is not str:
                raise _wrong(source, name, 'string keys', key)
    backbones, default = facts.get('backbones'), facts.get('default')
    if not isinstance(backbones, dict) or not backbones:
        raise _wrong(source, 'backbones', 'a dict of networks by name', backbones)
    for name, config in backbones.items():
        if not isinstance(config, dict):
            raise _wrong(source, f'backbones.{name}', 'a config (a dict)', config)
    if not isinstance(default, str) or default not in backbones:
        raise _wrong(source, 'default', f'one of {brief(", ".join(backbones))}',
                     default)
    _check_external(source, facts.get('external'))
    _check_traits(source, facts.get('traits'))
    _check_faces(source, facts.get('faces'))
    if not isinstance(facts.get('licence', ''), str):
        raise _wrong(source, 'licence', 'a string', facts['licence'])


def _check_external(source: str | Path, external: Any) -> None:
    if not isinstance(external, dict):
        raise _wrong(source, 'external', 'a dict of records by module', external)
    for part, record in external.items():
        where = f'external.{part}'
        if not isinstance(record, dict):
            raise _wrong(source, where, 'a record (a dict)', record)
        for field in ('path', 'sha256'):
            if not isinstance(record.get(field), str):
                raise _wrong(source, f'{where}.{field}', 'a string', record.get(field))
        if not _SHA256.fullmatch(record['sha256']):
            raise _wrong(source, f'{where}.sha256', '64 hex digits', record['sha256'])
        if not isinstance(record.get('member'), (str, type(None))):
            raise _wrong(source, f'{where}.member', 'a string', record['member'])


def _check_traits(source: str | Path, traits: Any) -> None:
    if traits is None:  # an earlier file
        return
    if not isinstance(traits, dict):
        raise _wrong(source, 'traits', 'a dict of traits by backbone', traits)
    for name, values in traits.items():
        if not isinstance(values, dict) or not all(
                isinstance(key, str) for key in values):
            raise _wrong(source, f'traits.{name}', 'a dict', values)
        try:
            Traits(**values)
        except (TypeError, ValueError) as error:
            raise wrong(source, f'traits.{name}', 'the traits of a backbone',
                        ' '.join(str(error).split())[:200]) from error


def _check_faces(source: str | Path, faces: Any) -> None:
    if faces is None:
        return
    if not isinstance(faces, dict):
        raise _wrong(source, 'faces', 'a dict', faces)
    for field, high in (('size', MAX_SIZE), ('scale', MAX_SCALE)):
        value = faces.get(field)
        if value is not None and not (type(value) is int and 1 <= value <= high):
            raise _wrong(source, f'faces.{field}', f'an integer from 1 to {high}',
                         value)
    share = faces.get('eye_share')
    if share is not None and not (type(share) is float and 0 < share < 1):
        raise _wrong(source, 'faces.eye_share', 'a number between 0 and 1', share)


def check_data(source: str | Path, value: Any, where: str = _FACTS,
               **limits: int) -> None:
    """Checks that a value is plain data of limited size, see ``check_plain``.

    Raises:
        CheckpointMismatch: it is not; the message names the file and the field.
        RefusedCheckpointError: the check needs more memory than available.
    """
    try:
        check_plain(value, where, **limits)
    except NotPlain as error:
        raise wrong(source, str(error.place), error.expected, error.found) from error
    except (MemoryError, RecursionError) as error:
        raise RefusedCheckpointError(
            f'{source}: checking the description needs more memory than available. '
            f'{_DAMAGED}') from error


_DAMAGED = ('The file is damaged or modified, or was written from a config that a '
            'model file cannot store.')


def wrong(source: str | Path, field: str, expected: str, found: str
          ) -> CheckpointMismatch:
    """Returns the error for an invalid field; ``found`` is its text."""
    return CheckpointMismatch(
        f'{source} has an invalid description: {field}: expected {expected}, found '
        f'{found}. {_DAMAGED}')


def _wrong(source: str | Path, field: str, expected: str,
           found: Any) -> CheckpointMismatch:
    field = f'{_FACTS}.{field}' if field else _FACTS
    return wrong(source, field, expected, 'nothing' if found is None else short(found))
