"""Checks that a torch file contains plain data and dense tensors that fit into it.

``weights_only=True`` keeps a file from running code. It does not keep a small file from
describing tensors that are huge, sparse or without memory; these checks do.
"""

import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Iterator

from fdsr.weights.walking import Place, items_of

#: By name: torch is imported where it is used.
_DTYPES = ('float16', 'bfloat16', 'float32', 'float64', 'uint8', 'int8', 'int16',
           'int32', 'int64', 'bool')
_ZIP_MAGIC = b'PK\x03\x04'
#: How often a value may occur in views that differ, on average.
_VIEWS_OF_A_VALUE = 2
_CONTAINERS = (dict, list, tuple, set, frozenset)
_KEY_TYPES = (str, int, float, bool, type(None))
#: Levels, characters of a key, and tensors and containers: more than a file needs.
_MAX_DEPTH, _MAX_KEY, _MAX_ENTERED = 256, 4096, 250_000
#: Reserves memory of any size, as no checkpoint asks for. ``weights_only`` finds
#: globals by this text alone, under the module's present or former name.
_RESERVING = (b'builtins\nbytearray\n', b'__builtin__\nbytearray\n')
_CHUNK = 1 << 24


class UnexpectedContent(ValueError):
    """A torch file contains something that no model file needs."""


def size_of(file: str | Path | BinaryIO) -> int:
    """Returns the size in bytes of a file, open or not."""
    if isinstance(file, (str, Path)):
        return os.path.getsize(file)
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size


def check_container(file: str | Path | BinaryIO) -> None:
    """Checks that a zip file stores its records uncompressed, as torch writes them.

    Args:
        file: a path, or a seekable file, whose position stays where it is.

    Raises:
        UnexpectedContent: a record is compressed, or larger than the file.
    """
    if isinstance(file, (str, Path)):
        with open(file, 'rb') as opened:
            return check_container(opened)
    start = file.tell()
    try:
        if file.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
            return
        with zipfile.ZipFile(file) as container:
            records = container.infolist()
    except zipfile.BadZipFile as error:
        raise UnexpectedContent(f'a damaged zip archive ({error})') from error
    finally:
        file.seek(start)
    for record in records:
        if record.compress_type != zipfile.ZIP_STORED:
            raise UnexpectedContent(f'the compressed record {record.filename!r}')
    if sum(record.file_size for record in records) > size_of(file):
        raise UnexpectedContent('records that are larger than the file')


def check_globals(file: str | Path | BinaryIO) -> None:
    """Checks, without loading it, that a file does not ask for memory of any size.

    Args:
        file: a path, or a seekable file, whose position stays where it is. Its
            records are not compressed, see ``check_container``.

    Raises:
        UnexpectedContent: it does.
    """
    if isinstance(file, (str, Path)):
        with open(file, 'rb') as opened:
            return check_globals(opened)
    start, end = file.tell(), b''
    try:
        while chunk := file.read(_CHUNK):
            text = end + chunk
            if any(name in text for name in _RESERVING):
                raise UnexpectedContent('a bytearray, which can be of any size')
            end = chunk[-len(max(_RESERVING, key=len)):]
    finally:
        file.seek(start)


def check_content(content: Any, size: int, on_cpu: bool = True) -> None:
    """Checks every tensor that a torch file contains.

    Args:
        content: what ``torch.load`` returned.
        size: of the file in bytes.
        on_cpu: whether all tensors were loaded onto the CPU.

    Raises:
        UnexpectedContent: a tensor is not dense, not on the CPU, has an unexpected
            dtype or is larger than the file, as an expanded one can be; or all of them
            are.
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

    A container that occurs in several places is entered once, so that nested
    references can neither loop nor multiply.

    Raises:
        UnexpectedContent: a key of a dict is too long, or not a string or number;
            or there are more levels, or tensors and containers, than any file needs.
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
    # what a pickle adds to an OrderedDict hides its methods; torch adds _metadata
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
    """Returns what is wrong with a tensor, None if nothing is.

    A parameter can bring attributes along that hide its methods, so those that do not
    belong to every tensor are refused before anything is asked of it.
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
    """Returns how many bytes a tensor takes as a copy, with all elements apart."""
    return tensor.numel() * tensor.element_size()
