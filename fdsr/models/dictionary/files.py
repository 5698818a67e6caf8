"""The file format of dictionaries: atoms of every component and level, and metadata.

A dictionary is one file of plain tensors and values::

    {'format': 'fdsr-dictionary', 'version': 1,
     'meta': {'layout', 'encoder': {'arch', 'sha256'}, 'sides', 'channels',
              'unbiased', 'source', 'seed', 'weights_sha256'},
     'atoms': {component: [normalized atoms (K, C, s, s) of each level]}}

A safetensors file has the atoms as tensors ``COMPONENT.LEVEL`` and the rest in its
metadata. With another suffix, it is a ``torch.save`` file.
"""

import errno
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Union

import torch

from fdsr.geometry.components import COMPONENTS
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from fdsr.utils.files import atomic_path
from fdsr.weights import (
    ExternalWeights,
    ModelFileError,
    RefusedCheckpointError,
    safe_load,
    safetensors_files,
    sha256_of,
)
from fdsr.weights.hashing import KEY, values_sha256
from fdsr.weights.plain import MANY_VALUES, NotPlain, check_plain
from fdsr.weights.walking import brief, short

if TYPE_CHECKING:
    from fdsr.models.backbones.encoder import FeatureEncoder

FORMAT = 'fdsr-dictionary'
VERSION = 1
_REBUILD = ('Build a matching one with: python tools/build_dictionary.py CONFIG '
            '--out FILE')


class DictionaryMismatch(ModelFileError):
    """A dictionary that does not match the network, or a file without a dictionary."""


def check_writable(path: Union[str, Path]) -> None:
    """Checks before a long computation that a file can be written.

    Raises:
        PermissionError: the file cannot be written.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, 'expected a file, found a folder')
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise PermissionError(
            f'The dictionary cannot be written to {path} ({error.strerror}). Give '
            'another file with --out.') from error


def save_dictionary(dictionary: ComponentDictionary, path: Union[str, Path],
                    encoder: 'FeatureEncoder', **facts: Any) -> str:
    """Writes a dictionary atomically.

    Args:
        dictionary: dictionary with its atoms set.
        path: path of the file; its folder is created.
        encoder: encoder that computed the atoms.
        facts: further metadata as plain values: ``source``, ``seed``, …

    Returns:
        The SHA-256 of the file.

    Raises:
        OSError: the file cannot be written; no partial file remains.
    """
    path = Path(path)
    spec = dictionary.spec
    atoms = {
        name: [dictionary.atoms(name, level) for level in range(len(spec.channels))]
        for name in COMPONENTS}
    header = {
        'format': FORMAT,
        'version': VERSION,
        'meta': {
            'layout': encoder.layout,
            'encoder': {'arch': encoder.arch, 'sha256': encoder.fingerprint()},
            'sides': {name: list(sides) for name, sides in spec.sides.items()},
            'channels': list(spec.channels),
            'unbiased': spec.unbiased,
            **facts,
            KEY: _hash_of(atoms),
        },
    }
    _check_plain(path, header['meta'])
    try:
        if path.suffix == safetensors_files.SUFFIX:
            safetensors_files.save(path, header, _by_name(atoms), dict(
                architecture='fdsr-dictionary', implementation='fdsr', title=path.stem,
                description='Dictionary of features of facial components.',
                license=facts.get('licence')))
        else:
            with atomic_path(path) as part:
                torch.save({**header, 'atoms': atoms}, part)
    except (OSError, RuntimeError) as error:  # torch.save raises RuntimeError too
        raise OSError(
            f'The dictionary cannot be written to {path} '
            f'({" ".join(str(error).split())}). Free disk space and run the same '
            'command again; finished work is kept.') from error
    return sha256_of(path)


def load_dictionary(path: Union[str, Path], encoder: 'FeatureEncoder',
                    channels: Sequence[int], sides: Dict[str, List[int]],
                    unbiased: bool,
                    dtype: torch.dtype = torch.float32) -> ComponentDictionary:
    """Loads a dictionary and checks that it matches the network.

    Args:
        path: path of the file.
        encoder: encoder of the network that will use the dictionary.
        channels, sides, unbiased: shape that the network needs, see
            ``DictionarySpec``.
        dtype: dtype of the atoms in memory.

    Raises:
        FileNotFoundError: the file does not exist.
        RefusedCheckpointError: the file is damaged, or contains more than plain data.
        DictionaryMismatch: the file is not a dictionary, or was built for another
            layout, encoder, size or alignment, or its atoms differ from their hash;
            the message names the first difference.
    """
    path = Path(path)
    content = read_dictionary(path)
    meta, atoms = content['meta'], content['atoms']
    _check(path, 'layout', encoder.layout, meta['layout'])
    _check(path, 'encoder', encoder.arch, meta['encoder']['arch'])
    _check(path, 'variance (unbiased)', unbiased, meta['unbiased'])
    _check(path, 'channels', list(channels), list(meta['channels']))
    for name in COMPONENTS:
        _check(path, f'sides of the {name} atoms', list(sides[name]),
               list(meta['sides'][name]))
        _check(path, f'levels of the {name} atoms', len(channels), len(atoms[name]))
    _check(path, 'weights of the encoder (SHA-256)', encoder.fingerprint(),
           meta['encoder']['sha256'])
    counts = {name: [len(level) for level in atoms[name]] for name in COMPONENTS}
    dictionary = ComponentDictionary(
        DictionarySpec(channels, sides, counts, unbiased), dtype)
    for name, level in dictionary.spec.slots():
        values = atoms[name][level].to(dtype)
        _check(path, f'shape of the {name} atoms at level {level}',
               dictionary.spec.atom_shape(name, level), tuple(values.shape))
        if not torch.isfinite(values).all():
            raise DictionaryMismatch(
                f'{path}: the {name} atoms at level {level} contain values that are '
                f'not finite in {dtype}. {_REBUILD}')
        dictionary.atoms(name, level).copy_(values)
    check_hash(path, content)
    dictionary.metadata = meta
    dictionary.external_weights = ExternalWeights(
        name='dictionary', path=str(path.resolve()), sha256=sha256_of(path),
        licence=meta.get('licence', 'as its source'))
    return dictionary


def read_dictionary(path: Path) -> Dict[str, Any]:
    """Loads the file of a dictionary and checks that it has every field.

    Returns:
        The content of the file, see the module docstring.

    Raises:
        FileNotFoundError, RefusedCheckpointError, DictionaryMismatch: see
            ``load_dictionary``.
    """
    if not path.is_file():
        raise FileNotFoundError(f'There is no dictionary at {path}. {_REBUILD}')
    try:
        content = safe_load(path)
    except RefusedCheckpointError as error:
        raise RefusedCheckpointError(f'{error} {_REBUILD}') from error
    if path.suffix == safetensors_files.SUFFIX:
        content = _nested(content)
    keys = list(content) if isinstance(content, dict) else []
    found = f'a {type(content).__name__}' + (
        f' with keys {", ".join(map(short, keys[:5]))}' if keys else '')
    kind, version = ((content.get('format'), content.get('version')) if keys else
                     (None, None))
    if type(kind) is not str or kind != FORMAT:
        raise DictionaryMismatch(
            f'{path} is not a dictionary: expected format {FORMAT!r}, found {found}. '
            f'{_REBUILD}')
    if (type(version) is not int or version != VERSION
            or not {'meta', 'atoms'} <= set(keys)):
        raise DictionaryMismatch(
            f'{path} is a dictionary of another version: expected {VERSION}, found '
            f'{short(version)}, {found}. {_REBUILD}')
    _check_plain(path, content['meta'])
    wrong = _first_wrong_field(content['meta'], content['atoms'])
    if wrong:
        raise DictionaryMismatch(
            f'{path} is a damaged dictionary: {wrong} is missing or has another type. '
            f'{_REBUILD}')
    return content


def check_hash(path: Path, content: Dict[str, Any]) -> None:
    """Checks that the atoms are those that the file was written with.

    Args:
        path: the file.
        content: result of ``read_dictionary``.

    Raises:
        DictionaryMismatch: the atoms differ from their hash. Earlier ``torch.save``
            files have none.
    """
    expected = content['meta'].get(KEY)
    if expected is None and path.suffix != safetensors_files.SUFFIX:
        return
    if _hash_of(content['atoms']) != expected:
        raise DictionaryMismatch(
            f'{path} is a damaged dictionary: the atoms differ from their SHA-256 in '
            f'meta.{KEY}. Copy or fetch the file again. {_REBUILD}')


def _hash_of(atoms: Dict[str, Sequence[torch.Tensor]]) -> str:
    return values_sha256(_by_name(atoms))


def _by_name(atoms: Dict[str, Sequence[torch.Tensor]]) -> Dict[str, torch.Tensor]:
    """Returns the atoms as {'COMPONENT.LEVEL': values}."""
    return {f'{name}.{level}': values for name in COMPONENTS
            for level, values in enumerate(atoms[name])}


def _nested(content: Dict[str, Any]) -> Any:
    """Returns the content of a safetensors file in the format of the docstring."""
    header, values = content['meta'], content['state_dict']
    if not isinstance(header, dict) or header.get('format') != FORMAT:
        return header
    atoms = {name: [values[f'{name}.{level}'] for level in range(len(values))
                    if f'{name}.{level}' in values] for name in COMPONENTS}
    if _by_name(atoms).keys() != values.keys():  # other names, or a level is missing
        return header
    return {**header, 'atoms': atoms}


def _check_plain(path: Union[str, Path], meta: Any) -> None:
    try:
        check_plain(meta, 'meta', values=MANY_VALUES)
    except NotPlain as error:
        raise DictionaryMismatch(
            f'{path} is a damaged dictionary: {error}. {_REBUILD}') from error


def _first_wrong_field(meta: Any, atoms: Any) -> str | None:
    """Returns the first required field that is missing or has another type."""
    sizes = (list, tuple)
    for field, kind in (('layout', str), ('encoder', dict), ('sides', dict),
                        ('channels', sizes), ('unbiased', bool), ('licence', str)):
        if not isinstance(meta, dict) or not isinstance(
                meta.get(field, '' if field == 'licence' else None), kind):
            return f'meta.{field}'
    for field in ('arch', 'sha256'):
        if not isinstance(meta['encoder'].get(field), str):
            return f'meta.encoder.{field}'
    for name in COMPONENTS:
        if not isinstance(meta['sides'].get(name), sizes):
            return f'meta.sides.{name}'
        levels = atoms.get(name) if isinstance(atoms, dict) else None
        if not isinstance(levels, sizes) or not all(
                isinstance(level, torch.Tensor) and level.is_floating_point()
                and level.ndim == 4 for level in levels):
            return f'atoms.{name}'
    return None


def _check(path: Path, what: str, expected: Any, found: Any) -> None:
    if expected != found:
        raise DictionaryMismatch(
            f'The dictionary {path} does not match this network: {what}: expected '
            f'{brief(expected)}, found {brief(found)}. {_REBUILD}')
