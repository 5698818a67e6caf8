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
from fdsr.weights.hashing import KEY
from fdsr.weights.plain import LONG_TEXT, MANY_VALUES, NotPlain, check_plain
from fdsr.weights.walking import brief, short

FORMAT = 1
_FACTS = 'meta["fdsr"]'
_SHA256 = re.compile(r'[0-9a-f]{64}')


def check_meta(source: str | Path, meta: dict) -> None:
    """Checks a file's ``meta``: plain data of bounded extent, licence, description.

    Args:
        source: the file.
        meta: description (``fdsr``), licence, the run's config and facts.

    Raises:
        CheckpointMismatch: it is not plain, the licence is not text, or the
            description has errors, see :func:`check_description`.
    """
    check_data(source, meta, 'meta', values=MANY_VALUES, text=LONG_TEXT)
    origin = meta.get('converted_from')
    for where, holder in (('meta', meta), ('meta.converted_from', origin)):
        licence = holder.get('licence') if isinstance(holder, dict) else None
        check_data(source, licence, f'{where}.licence')
        if not isinstance(licence, (str, type(None))):
            raise wrong(source, f'{where}.licence', 'a string', short(licence))
    check_description(source, meta['fdsr'])


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
    _expect(isinstance(facts, Mapping), source, '', 'a dict', facts)
    version = facts.get('format')
    if type(version) is not int or version != FORMAT:
        raise CheckpointMismatch(
            f'{source} has format {short(version)}; this version of fdsr reads '
            f'{FORMAT}. Use the version that wrote it, or a newer one.')
    check_data(source, dict(facts))
    for name in ('backbones', 'external'):
        for key in facts[name] if isinstance(facts.get(name), dict) else ():
            _expect(type(key) is str, source, name, 'string keys', key)
    backbones, default = facts.get('backbones'), facts.get('default')
    _expect(isinstance(backbones, dict) and backbones, source, 'backbones',
            'a dict of networks by name', backbones)
    for name, config in backbones.items():
        _expect(isinstance(config, dict), source, f'backbones.{name}',
                'a config (a dict)', config)
    _expect(isinstance(default, str) and default in backbones, source, 'default',
            f'one of {brief(", ".join(backbones))}', default)
    _check_external(source, facts.get('external'))
    for name, check in (('traits', _check_traits), ('faces', _check_faces)):
        if facts.get(name) is not None:
            check(source, facts[name])
    hashes = facts.get(KEY, {})  # earlier files have none
    _expect(isinstance(hashes, dict), source, KEY, 'a dict of SHA-256 by module',
            hashes)
    for name, digest in hashes.items():
        _expect(isinstance(name, str) and isinstance(digest, str)
                and _SHA256.fullmatch(digest), source, f'{KEY}.{brief(name)}',
                '64 hex digits', digest)
    _expect(isinstance(facts.get('licence', ''), str), source, 'licence', 'a string',
            facts.get('licence'))


def _check_external(source: str | Path, external: Any) -> None:
    _expect(isinstance(external, dict), source, 'external',
            'a dict of records by module', external)
    for part, record in external.items():
        where = f'external.{part}'
        _expect(isinstance(record, dict), source, where, 'a record (a dict)', record)
        for field in ('path', 'sha256', 'member'):
            value = record.get(field, '' if field == 'member' else None)
            _expect(isinstance(value, str) or field == 'member' and value is None,
                    source, f'{where}.{field}', 'a string', value)
        _expect(_SHA256.fullmatch(record['sha256']), source, f'{where}.sha256',
                '64 hex digits', record['sha256'])


def _check_traits(source: str | Path, traits: Any) -> None:
    _expect(isinstance(traits, dict), source, 'traits', 'a dict of traits by backbone',
            traits)
    for name, values in traits.items():
        named = isinstance(values, dict) and all(isinstance(key, str) for key in values)
        _expect(named, source, f'traits.{name}', 'a dict', values)
        try:
            Traits(**values)
        except (TypeError, ValueError) as error:
            raise wrong(source, f'traits.{name}', 'the traits of a backbone',
                        ' '.join(str(error).split())[:200]) from error


def _check_faces(source: str | Path, faces: Any) -> None:
    """Checks the traits of an earlier file."""
    _expect(isinstance(faces, dict), source, 'faces', 'a dict', faces)
    for field, high in (('size', MAX_SIZE), ('scale', MAX_SCALE)):
        value = faces.get(field)
        _expect(value is None or type(value) is int and 1 <= value <= high, source,
                f'faces.{field}', f'an integer from 1 to {high}', value)
    share = faces.get('eye_share')
    _expect(share is None or type(share) is float and 0 < share < 1, source,
            'faces.eye_share', 'a number between 0 and 1', share)


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


def _expect(valid: Any, source: str | Path, field: str, expected: str,
            found: Any) -> None:
    """Raises the error about a field unless its value is valid."""
    if not valid:
        field = f'{_FACTS}.{field}' if field else _FACTS
        raise wrong(source, field, expected,
                    'nothing' if found is None else short(found))
