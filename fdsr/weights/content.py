"""Checks that a torch file contains only plain data and dense tensors of its own size.

``weights_only=True`` prevents a file from running code. It does not prevent a small
file from describing huge, sparse or meta tensors; these checks do.
"""

import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Iterator

from fdsr.weights.walking import Place, items_of

#: Names rather than dtypes, because torch is imported where it is used.
_DTYPES = ('float16', 'bfloat16', 'float32', 'float64', 'uint8', 'int8', 'int16',
           'int32', 'int64', 'bool')
_ZIP_MAGIC = b'PK\x03\x04'
#: Maximum number of different views of a value, on average.
_VIEWS_OF_A_VALUE = 2
_CONTAINERS = (dict, list, tuple, set, frozenset)
_KEY_TYPES = (str, int, float, bool, type(None))
#: Maximum nesting, characters of a key, and number of tensors and containers.
_MAX_DEPTH, _MAX_KEY, _MAX_ENTERED = 256, 4096, 250_000
#: ``bytearray`` can reserve any amount of memory, and checkpoints do not need it.
#: ``weights_only`` resolves globals from exactly this text, under both module names.
_RESERVING = (b'builtins\nbytearray\n', b'__builtin__\nbytearray\n')
_CHUNK = 1 << 24


class UnexpectedContent(ValueError):
    """Raised for content of a torch file that model files do not need."""


def check_file(file: str | Path | BinaryIO) -> int:
    """Checks a file without loading it.

    torch writes the records of a zip file uncompressed, so that their text can be
    searched.

    Args:
        file: a path, or a seekable file, whose position is restored.

    Returns:
        The size in bytes.

    Raises:
        UnexpectedContent: a record is compressed or does not match its checksum, the
            records exceed the file, or the file contains a ``bytearray``.
    """
    if isinstance(file, (str, Path)):
        with open(file, 'rb') as opened:
            return check_file(opened)
    start, end = file.tell(), b''
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(start)
        if file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC:
            _check_records(file, size)
        file.seek(start)
        while chunk := file.read(_CHUNK):
            text = end + chunk
            if any(name in text for name in _RESERVING):
                raise UnexpectedContent('a bytearray, which can be of any size')
            end = chunk[-len(max(_RESERVING, key=len)):]
    finally:
        file.seek(start)
    return size


def _check_records(file: BinaryIO, size: int) -> None:
    try:
        with zipfile.ZipFile(file) as container:
            records = container.infolist()
            for record in records:
                if record.compress_type != zipfile.ZIP_STORED:
                    raise UnexpectedContent(
                        f'the compressed record {record.filename!r}')
            if sum(record.file_size for record in records) > size:
                raise UnexpectedContent('records that are larger than the file')
            damaged = container.testzip()  # compares the CRC-32 of each record
    except zipfile.BadZipFile as error:
        raise UnexpectedContent(f'a damaged zip archive ({error})') from error
    if damaged is not None:
        raise UnexpectedContent(f'the record {damaged!r}, whose checksum is wrong')


def check_content(content: Any, size: int, on_cpu: bool = True) -> None:
    """Checks every tensor of a loaded torch file.

    Args:
        content: result of ``torch.load``.
        size: size of the file in bytes.
        on_cpu: require that all tensors are on the CPU.

    Raises:
        UnexpectedContent: a tensor is not dense, not on the CPU, has an unexpected
            dtype or is larger than the file; or all tensors together are.
    """
    storages: dict[int, int] = {}
    views: dict[tuple, int] = {}
    for place, tensor in tensors_in(content):
        problem = _problem_of(tensor, size, on_cpu)
        if problem:
            raise UnexpectedContent(f'{str(place) or "a tensor"}, which is {problem}')
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        views[tensor.data_ptr(), tensor.shape, tensor.stride()] = _bytes_of(tensor)
    total = max(sum(storages.values()), sum(views.values()) // _VIEWS_OF_A_VALUE)
    if total > size:
        raise UnexpectedContent(f'tensors of {total} bytes in a file of {size} bytes')


def tensors_in(content: Any) -> Iterator[tuple[Place, Any]]:
    """Iterates over the tensors in nested containers, each with its place.

    Each container is entered once, so that cyclic or repeated references do not
    multiply the work.

    Raises:
        UnexpectedContent: a key of a dict is too long, or not a string or number; or
            there are too many levels, tensors or containers.
    """
    import torch
    seen: set[int] = set()
    left, found = _MAX_ENTERED, [(Place(), content)]
    while found:
        place, value = found.pop()
        if isinstance(value, torch.Tensor):
            yield place, value
        elif isinstance(value, _CONTAINERS) and id(value) not in seen:
            seen.add(id(value))
            _check_container(place, value)
            for key, item in items_of(value):
                if isinstance(item, (torch.Tensor, *_CONTAINERS)):
                    left -= 1
                    if left < 0:
                        raise UnexpectedContent(
                            f'more than {_MAX_ENTERED} tensors, lists and dicts')
                    found.append((place.inside(key), item))


def _check_container(place: Place, container: Any) -> None:
    where = str(place) or 'the file'
    if place.depth > _MAX_DEPTH:
        raise UnexpectedContent(f'more than {_MAX_DEPTH} levels, in {where}')
    if not isinstance(container, dict):
        return
    # attributes in a pickle can shadow an OrderedDict's methods; torch adds _metadata
    if set(getattr(container, '__dict__', ())) - {'_metadata'}:
        raise UnexpectedContent(f'a dict with attributes in {where}')
    for key in container:
        if not isinstance(key, _KEY_TYPES):
            raise UnexpectedContent(f'a key of type {type(key).__name__} in {where}')
        if isinstance(key, str) and len(key) > _MAX_KEY:
            raise UnexpectedContent(
                f'a key of {len(key)} characters in {where}, expected at most '
                f'{_MAX_KEY}')


def _problem_of(tensor: Any, size: int, on_cpu: bool) -> str | None:
    """Returns a description of the first problem of a tensor, or None.

    Attributes of a pickled parameter can shadow its methods. They are rejected before
    any method is called.
    """
    import torch
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or vars(tensor):
        return f'a {type(tensor).__name__} with attributes, not a plain tensor'
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        return 'not a dense tensor'
    if tensor.is_meta or on_cpu and tensor.device.type != 'cpu':
        return f'on the device {tensor.device}, not on the CPU'
    if tensor.dtype not in [getattr(torch, name) for name in _DTYPES]:
        return f'of the dtype {tensor.dtype}, expected a real number or a boolean'
    if _bytes_of(tensor) > size:
        return (f'of shape {tuple(tensor.shape)}: {_bytes_of(tensor)} bytes in a file '
                f'of {size}')
    return None


def _bytes_of(tensor: Any) -> int:
    """Returns the size in bytes of a contiguous copy of a tensor."""
    return tensor.numel() * tensor.element_size()
