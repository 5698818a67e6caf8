"""Model files in the format safetensors: written atomically, verified when read.

The metadata has ``fdsr``, the JSON of a checkpoint's ``meta``, with its SHA-256 as
``fdsr_sha256``, and the keys ``modelspec.*`` of github.com/Stability-AI/ModelSpec.
``modelspec.hash_sha256`` covers the bytes of all tensors.

The package safetensors writes the metadata in random order and ignores duplicate keys.
This module writes equal files for equal content, names what it refuses, and neither
writes nor reads a value twice.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fdsr.utils.files import atomic_path
from fdsr.weights.content import UnexpectedContent, check_content
from fdsr.weights.errors import ModelFileError, RefusedCheckpointError
from fdsr.weights.files import check_ordinary
from fdsr.weights.hashing import tensor_bytes
from fdsr.weights.walking import short

SUFFIX = '.safetensors'
_METADATA = '__metadata__'
_META, _META_HASH, _FORMAT = 'fdsr', 'fdsr_sha256', 'format'
_SPEC, _TENSORS_HASH = 'modelspec.', 'modelspec.hash_sha256'
_SPEC_VERSION = '1.0.1'
#: Names rather than dtypes, because torch is imported where it is used. The package
#: safetensors writes the last of them first, so that each value is aligned to its size.
_DTYPES = {'BOOL': 'bool', 'U8': 'uint8', 'I8': 'int8', 'I16': 'int16',
           'F16': 'float16', 'BF16': 'bfloat16', 'I32': 'int32', 'F32': 'float32',
           'F64': 'float64', 'I64': 'int64'}
_LENGTH = 8  # bytes of the length of the header
_LFS_POINTER = b'version '  # as a length, it exceeds every file
#: Maximum bytes of a header, characters of a name, dimensions of a tensor.
_MAX_HEADER, _MAX_NAME, _MAX_DIMENSIONS = 2**23, 4096, 64
_ENTRY = {'dtype', 'shape', 'data_offsets'}


def save(path: Path, meta: dict[str, Any], values: Mapping[str, Any],
         spec: Mapping[str, str | None]) -> None:
    """Writes a file atomically.

    Args:
        path: the file.
        meta: plain values for the metadata ``fdsr``.
        values: tensors by name.
        spec: values of ModelSpec by key, without the prefix ``modelspec.``; None is
            left out. The version of the specification and the hash are added.

    Raises:
        ModelFileError: the file could not be read again: a tensor is not dense,
            ``meta`` has a value that JSON does not represent, or the header is too
            large.
        OSError: the file cannot be written; no partial file remains.
    """
    try:
        check_content(dict(values), math.inf, on_cpu=False)
        if _METADATA in values:
            raise UnexpectedContent(f'a tensor with the name {_METADATA!r}')
        text = _as_json(meta)
    except (UnexpectedContent, ValueError) as error:
        raise ModelFileError(f'{path} cannot store {error}.') from error
    metadata = {_META: text, _META_HASH: _sha256(text.encode()),
                f'{_SPEC}sai_model_spec': _SPEC_VERSION,
                **{_SPEC + key: str(value) for key, value in spec.items() if value}}
    header: dict[str, Any] = {_METADATA: metadata}
    order, kinds = list(_DTYPES), {kind: name for name, kind in _DTYPES.items()}
    types = {name: kinds[str(value.dtype).removeprefix('torch.')]
             for name, value in values.items()}
    names = sorted(types, key=lambda name: (-order.index(types[name]), name))
    digest, end = hashlib.sha256(), 0
    for name in names:
        value = values[name]
        digest.update(tensor_bytes(value))
        start, end = end, end + value.numel() * value.element_size()
        header[name] = dict(dtype=types[name], shape=list(value.shape),
                            data_offsets=[start, end])
    metadata[_TENSORS_HASH] = f'0x{digest.hexdigest()}'
    encoded = json.dumps(header, separators=(',', ':')).encode()
    encoded += b' ' * (-len(encoded) % _LENGTH)
    if len(encoded) > _MAX_HEADER:
        raise ModelFileError(
            f'{path} cannot store a description of {len(encoded)} bytes; the limit is '
            f'{_MAX_HEADER}.')
    with atomic_path(path) as part, part.open('wb') as file:
        file.write(len(encoded).to_bytes(_LENGTH, 'little') + encoded)
        for name in names:
            file.write(tensor_bytes(values[name]))


def _as_json(meta: dict[str, Any]) -> str:
    """Returns the JSON of plain values.

    Raises:
        ValueError: a value would be read as another.
    """
    try:
        text = json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f'its description ({error})') from error
    if json.loads(text) != _lists(meta):
        raise ValueError('its description: it has keys that are not strings')
    return text


def _lists(value: Any) -> Any:
    """Returns plain values with lists in place of tuples, as JSON stores them."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, (list, tuple)) else (
        value)


def load(path: Path) -> dict[str, Any]:
    """Reads a file that ``save`` wrote, and verifies its hashes.

    Returns:
        ``meta``, not yet validated, and ``state_dict``, the tensors by name on the CPU.

    Raises:
        RefusedCheckpointError: the file is damaged, or has metadata, a tensor or a
            layout that ``save`` does not write; the message names it.
        OSError: the file cannot be read.
    """
    check_ordinary(path)
    try:
        with path.open('rb') as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(_LENGTH)
            length = int.from_bytes(start, 'little')
            if start == _LFS_POINTER:
                raise _Unexpected('a pointer of Git LFS (run: git lfs pull)')
            if not 0 < length <= min(_MAX_HEADER, size - _LENGTH):
                raise _Unexpected(f'a header of {length} bytes in a file of {size} '
                                  f'(limit {_MAX_HEADER})')
            header = json.loads(file.read(length).decode(),
                                object_pairs_hook=_unique)
            meta, digest = _meta_of(header)
            _check_layout(header, size - _LENGTH - length)
            data = bytearray(size - _LENGTH - length)
            if file.readinto(data) != len(data):
                raise _Unexpected('a file that changed while it was read')
        if digest is not None and digest != f'0x{_sha256(data)}':
            raise _Unexpected(f'tensors that differ from {_TENSORS_HASH!r}')
        return {'meta': meta, 'state_dict': dict(_tensors(header, data))}
    except _Unexpected as error:
        raise _refusal(path, str(error)) from error
    except MemoryError as error:
        raise _refusal(path, 'more data than the memory of this machine') from error
    except (ValueError, RecursionError) as error:  # of json
        raise _refusal(path, f'a header that is not JSON ({type(error).__name__})'
                       ) from error


class _Unexpected(Exception):
    """Raised for content that ``save`` does not write."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object as a dict.

    Raises:
        _Unexpected: it has a key twice.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Unexpected(f'the key {short(name)} twice')
        found[name] = value
    return found


def _meta_of(header: Any) -> tuple[Any, str | None]:
    """Removes the metadata from a header and checks it.

    Returns:
        The description and the hash of the tensors. Earlier files have no keys of
        ModelSpec, and therefore no hash of the tensors.
    """
    if not isinstance(header, dict):
        raise _Unexpected(f'a {type(header).__name__} as its header')
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(
            isinstance(value, str) for value in metadata.values()):
        raise _Unexpected('metadata that are not strings')
    for key in (_META, _META_HASH):
        if key not in metadata:
            raise _Unexpected(f'no metadata {key!r}')
    for key in metadata:
        if key not in (_META, _META_HASH, _FORMAT) and not key.startswith(_SPEC):
            raise _Unexpected(f'the metadata {short(key)} of another program')
    text, digest = metadata[_META], metadata.get(_TENSORS_HASH)
    if metadata[_META_HASH] != _sha256(text.encode(errors='surrogatepass')):
        raise _Unexpected(f'a description that differs from its {_META_HASH!r}')
    if digest is None and any(key.startswith(_SPEC) for key in metadata):
        raise _Unexpected(f'no metadata {_TENSORS_HASH!r}')
    return json.loads(text, object_pairs_hook=_unique), digest


def _check_layout(header: dict[str, Any], size: int) -> None:
    """Checks that dense tensors fill a section of ``size`` bytes without overlap."""
    for name, entry in header.items():
        problem = _problem_of(name, entry, size)
        if problem:
            raise _Unexpected(f'the tensor {short(name)}, {problem}')
    end = 0
    for name, entry in sorted(header.items(),
                              key=lambda item: item[1]['data_offsets']):
        start, after = entry['data_offsets']
        if start != end:
            raise _Unexpected(f'the tensor {short(name)}, which is not dense: it '
                              f'starts at byte {start}, expected {end}')
        end = after
    if end != size:
        raise _Unexpected(f'{size - end} bytes after the last tensor')


def _problem_of(name: str, entry: Any, size: int) -> str | None:
    """Returns the first problem of an entry of the header, or None."""
    if len(name) > _MAX_NAME:
        return f'whose name has {len(name)} characters'
    if not isinstance(entry, dict) or entry.keys() != _ENTRY:
        return f'which has other entries than {", ".join(sorted(_ENTRY))}'
    kind, shape, offsets = entry['dtype'], entry['shape'], entry['data_offsets']
    if not isinstance(kind, str) or kind not in _DTYPES:
        return f'of the dtype {short(kind)}, expected a real number or a boolean'
    for numbers, limit in ((shape, _MAX_DIMENSIONS), (offsets, 2)):
        if not isinstance(numbers, list) or len(numbers) > limit or not all(
                type(number) is int and 0 <= number < 2**63 for number in numbers):
            return 'whose shape or offsets are not sizes'
    item = _item_size(kind)
    needed = math.prod(shape) * item
    if needed > size:
        return f'of shape {tuple(shape)}: {needed} bytes in a section of {size}'
    # torch multiplies the sides, also if one of them is 0
    if math.prod(number for number in shape if number) >= 2**63:
        return f'of shape {tuple(shape)}, which is too large for torch'
    if len(offsets) != 2 or offsets[1] - offsets[0] != needed or offsets[0] % item:
        return (f'which is not dense: expected {needed} bytes for the shape '
                f'{tuple(shape)}, found the offsets {offsets}')
    return None


def _item_size(kind: str) -> int:
    """Returns the bytes of a value."""
    import torch
    return getattr(torch, _DTYPES[kind]).itemsize


def _tensors(header: dict[str, Any], data: bytearray) -> Iterator[tuple[str, Any]]:
    """Yields names and tensors, which share the memory of ``data``."""
    import torch
    for name, entry in header.items():
        dtype = getattr(torch, _DTYPES[entry['dtype']])
        start, end = entry['data_offsets']
        if start == end:
            yield name, torch.empty(0, dtype=dtype).reshape(entry['shape'])
        else:
            flat = torch.frombuffer(data, dtype=dtype, offset=start,
                                    count=(end - start) // dtype.itemsize)
            yield name, flat.reshape(entry['shape'])


def _sha256(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()


def _refusal(path: Path, found: str) -> RefusedCheckpointError:
    return RefusedCheckpointError(
        f'{path}: expected a self-describing safetensors file of fdsr, found {found}. '
        'Copy or fetch it again, or convert it with tools/convert_checkpoint.py.')
