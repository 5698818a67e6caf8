"""A folder of feature maps: two rows per face, one for its mirror image."""

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from fdsr.utils.files import write_text

#: Version of the file format. Version 1 has no checksums.
FORMAT = 2
_INDEX = 'store.json'
_FIELDS = {'names', 'sums', 'marks', 'facts', 'shapes'}
_AGAIN = 'Recompute the features with tools/freeze_features.py.'


class FeatureStore:
    """Reads named features in bfloat16 from disk.

    Each feature is a file of (2 · N, C, H, W) values. Row 2i is face i, row 2i + 1 its
    mirror image, whose features are not the mirror image of row 2i. bfloat16 is the
    type that autocast uses on a CPU, so storing the features there loses nothing.

    Args:
        folder: folder of a finished store.

    Attributes:
        names: names of the N faces.
        facts: the networks and degradation that the features were computed with.
        sums: sum of HR's 8-bit values for each of the 2 · N rows; identifies the crop.
        marks: CRC-32 of LR for each row; identifies the degradation.
        shapes: (C, H, W) of each feature.

    Raises:
        FileNotFoundError: the folder contains no finished store.
        ValueError: unsupported format, a damaged index, or a file has an unexpected
            size.
    """

    def __init__(self, folder: Union[str, Path]) -> None:
        self.folder = Path(folder)
        path = self.folder / _INDEX
        if not path.is_file():
            raise FileNotFoundError(
                f'{folder} contains no frozen features, or they are not finished. '
                f'{_AGAIN}')
        content = _read_index(path)
        self.names: Sequence[str] = content['names']
        self.sums: Sequence[int] = content['sums']
        self.marks: Sequence[int] = content['marks']
        self.facts: Dict[str, Any] = content['facts']
        self.shapes: Dict[str, Tuple[int, ...]] = {
            key: tuple(shape) for key, shape in content['shapes'].items()}
        self._crcs: Dict[str, Sequence[int]] = content.get('crcs', {})
        self._verified = {key: np.zeros(2 * len(self.names), bool)
                          for key in self._crcs}
        self._rows = {name: row for row, name in enumerate(self.names)}
        for key, shape in self.shapes.items():
            expected = 2 * 2 * len(self.names) * int(np.prod(shape))
            file = self.folder / f'{key}.bin'
            found = file.stat().st_size if file.is_file() else 'no file, 0'
            if found != expected:
                raise ValueError(
                    f'{self.folder}/{key}.bin has {found} bytes, expected {expected}. '
                    f'{_AGAIN}')

    def check(self, names: Sequence[str], mirrored: Sequence[bool], hr: Tensor,
              lr: Optional[Tensor] = None) -> None:
        """Checks that the features were computed from the given images.

        Args:
            names: names of the B faces.
            mirrored: whether each face is mirrored.
            hr: (B, 3, S, S) RGB in [0, 1].
            lr: (B, 3, h, w) RGB in [0, 1], if the features depend on it.

        Raises:
            KeyError: unknown face.
            ValueError: another crop or file than when the features were computed, or
                another degradation.
        """
        rows = [self._row(name, flip) for name, flip in zip(names, mirrored)]
        for name, row, found in zip(names, rows, sums_of(hr)):
            if found != self.sums[row]:
                raise ValueError(
                    f'{self.folder}: the features of {name} were computed from another '
                    'image: another crop or size, or another version of the file. '
                    f'{_AGAIN}')
        for name, row, found in zip(names, rows, [] if lr is None else marks_of(lr)):
            if found != self.marks[row]:
                raise ValueError(
                    f'{self.folder}: the features of {name} were computed from another '
                    f'LR: {self.facts.get("degradation")}. Use this degradation for '
                    'training, or recompute the features with '
                    'tools/freeze_features.py. An LR that changes between epochs, as '
                    'from BlindDegradation without a seed, is not supported.')

    def _row(self, name: str, mirrored: bool) -> int:
        if name not in self._rows:
            raise KeyError(
                f'{name} is not among the {len(self.names)} faces of {self.folder}. '
                'The features were computed from another dataset.')
        return 2 * self._rows[name] + int(mirrored)

    def read(self, key: str, names: Sequence[str], mirrored: Sequence[bool]) -> Tensor:
        """Returns a feature of a batch of faces.

        Args:
            key: name of the feature.
            names: names of the B faces.
            mirrored: whether each face is mirrored.

        Returns:
            (B, C, H, W) bfloat16.

        Raises:
            KeyError: unknown face or feature.
            OSError: the file ends before the row does.
            ValueError: a row differs from its CRC-32.
        """
        batch = torch.empty((len(names), *self.shapes[key]), dtype=torch.int16)
        # not memory-mapped: the system would read megabytes around each page
        with open(self.folder / f'{key}.bin', 'rb') as file:
            if hasattr(os, 'posix_fadvise'):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for values, name, flip in zip(batch.numpy(), names, mirrored):
                row = self._row(name, flip)
                file.seek(row * values.nbytes)
                if file.readinto(values) != values.nbytes:
                    raise OSError(
                        f'{file.name} ends before the features of {name}. {_AGAIN}')
                self._verify(key, row, values, name)
        return batch.view(torch.bfloat16)

    def _verify(self, key: str, row: int, values: np.ndarray, name: str) -> None:
        """Checks the CRC-32 of a row when it is first read; earlier stores have none.

        Raises:
            ValueError: it differs.
        """
        if key not in self._crcs or self._verified[key][row]:
            return
        if zlib.crc32(values) != self._crcs[key][row]:
            raise ValueError(
                f'{self.folder}/{key}.bin: the features of {name} differ from their '
                f'CRC-32. The file is damaged. {_AGAIN}')
        self._verified[key][row] = True


def _read_index(path: Path) -> Dict[str, Any]:
    """Returns the content of a ``store.json``.

    Raises:
        ValueError: it is damaged, lacks a field, or has another format.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(content, dict):
            raise TypeError(f'a {type(content).__name__}')
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f'{path} is damaged ({error}). {_AGAIN}') from error
    missing = sorted(_FIELDS - content.keys())
    if content.get('format') not in (1, FORMAT) or missing:
        raise ValueError(
            f'{path}: expected format 1 or {FORMAT} with {", ".join(sorted(_FIELDS))}; '
            f'found format {content.get("format")}, missing: '
            f'{", ".join(missing) or "nothing"}. {_AGAIN}')
    digest = content.pop('digest', None)
    if (digest is not None or content['format'] > 1) and digest != _digest_of(content):
        raise ValueError(f'{path} differs from its digest. It is damaged. {_AGAIN}')
    problem = _first_problem(content)
    if problem:
        raise ValueError(f'{path} is damaged: {problem}. {_AGAIN}')
    return content


def _digest_of(content: Dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _first_problem(content: Dict[str, Any]) -> Optional[str]:
    """Returns the first field with invalid values, or None."""
    names, rows = content['names'], content.get('crcs', {})
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return 'names is not a list of strings'
    if not isinstance(content['facts'], dict):
        return 'facts is not a dict'
    if not isinstance(rows, dict):
        return 'crcs is not a dict'
    for field, values in (('sums', content['sums']), ('marks', content['marks']),
                          *rows.items()):
        if (not isinstance(values, list) or len(values) != 2 * len(names)
                or not all(type(value) is int for value in values)):
            return f'{field} is not a list of {2 * len(names)} integers'
    shapes = content['shapes']
    if not isinstance(shapes, dict) or not all(
            isinstance(shape, list) and len(shape) == 3
            and all(type(side) is int and side > 0 for side in shape)
            for shape in shapes.values()):
        return 'shapes are not three sizes each'
    return None


def sums_of(hr: Tensor) -> List[int]:
    """Returns the sum of the 8-bit values of each image of (B, 3, S, S) in [0, 1]."""
    return (hr * 255).round().long().flatten(1).sum(dim=1).tolist()


def marks_of(lr: Tensor) -> List[int]:
    """Returns the CRC-32 of each image of (B, 3, h, w) in [0, 1], shape included."""
    images = (lr.detach() * 255).round().byte().cpu()
    return [zlib.crc32(repr(tuple(image.shape)).encode() + image.numpy().tobytes())
            for image in images]


class FeatureWriter:
    """Writes a store, which can be read after ``finish``.

    Args:
        folder: folder of the store; it is created.
        names: names of the faces, in the order of the rows.
    """

    def __init__(self, folder: Union[str, Path], names: Sequence[str]) -> None:
        self.folder, self.names = Path(folder), list(names)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / _INDEX).unlink(missing_ok=True)
        self._maps: Dict[str, np.ndarray] = {}
        self._crcs: Dict[str, List[int]] = {}
        self._sums = [-1] * (2 * len(self.names))  # of faces that cannot be read
        self._marks = [-1] * (2 * len(self.names))

    def write(self, rows: Sequence[int], features: Dict[str, Tensor],
              hr: Tensor, lr: Tensor) -> None:
        """Writes B rows.

        Args:
            rows: indices of the rows.
            features: {key: (B, C, H, W)}.
            hr: (B, 3, S, S) RGB in [0, 1].
            lr: (B, 3, h, w) RGB in [0, 1], computed from ``hr``.
        """
        for row, total, mark in zip(rows, sums_of(hr), marks_of(lr)):
            self._sums[row], self._marks[row] = total, mark
        for key, feature in features.items():
            values = feature.detach().to(torch.bfloat16).contiguous().cpu()
            if key not in self._maps:
                self._maps[key] = np.memmap(
                    self.folder / f'{key}.bin', np.int16, 'w+',
                    shape=(2 * len(self.names), *values.shape[1:]))
                empty = zlib.crc32(bytes(2 * values[0].numel()))
                self._crcs[key] = [empty] * (2 * len(self.names))
            stored = values.view(torch.int16).numpy()
            self._maps[key][list(rows)] = stored
            for row, row_values in zip(rows, stored):
                self._crcs[key][row] = zlib.crc32(row_values)

    def finish(self, facts: Dict[str, Any]) -> None:
        """Makes the store readable.

        Args:
            facts: the networks and degradation, as plain values.
        """
        for values in self._maps.values():
            values.flush()
        content = dict(
            format=FORMAT, names=self.names, facts=facts, sums=self._sums,
            marks=self._marks, crcs=self._crcs,
            shapes={key: values.shape[1:] for key, values in self._maps.items()})
        content['digest'] = _digest_of(content)
        write_text(self.folder / _INDEX, json.dumps(content))
