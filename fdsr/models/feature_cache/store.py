"""A folder of feature maps: one row a face, and one for its mirror image."""

import json
import os
import zlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from fdsr.datasets.transforms.degradation import DownsampleToLR
from fdsr.utils.files import write_text

FORMAT = 1
_INDEX = 'store.json'
Shapes = Dict[str, Tuple[int, ...]]


class FeatureStore:
    """Maps of named features, bfloat16, read straight from the disk.

    A feature is one file of (2 · N, C, H, W) values: row 2i is the i-th face, row
    2i + 1 the same face mirrored, whose features are no mirror image of the others.
    bfloat16 is what autocast computes in on a CPU, so nothing is lost by it there.

    Args:
        folder: of a finished store.

    Attributes:
        names: of the faces.
        facts: what the features were computed with.
        sums: (2 · N,) of HR's values, which tell one crop of a face from another.
        marks: (2 · N,) of LR, which tell one degradation from another. None in stores
            that were written before these were kept: their LR is taken to be that of
            ``DownsampleToLR()``, which was all there was.

    Raises:
        FileNotFoundError: there is no finished store.
        ValueError: it was written in another format, or a file is too short.
    """

    def __init__(self, folder: Union[str, Path]) -> None:
        self.folder = Path(folder)
        path = self.folder / _INDEX
        if not path.is_file():
            raise FileNotFoundError(
                f'There are no frozen features in {folder}, or they were not finished. '
                'Make them with tools/freeze_features.py.')
        content = json.loads(path.read_text(encoding='utf-8'))
        if content.get('format') != FORMAT:
            raise ValueError(
                f'{path} has format {content.get("format")}, expected {FORMAT}. Make '
                'the features anew with tools/freeze_features.py.')
        self.names: Sequence[str] = content['names']
        self.sums: Sequence[int] = content['sums']
        self.marks: Optional[Sequence[int]] = content.get('marks')
        self.facts: Dict[str, Any] = content['facts']
        self.shapes: Shapes = {key: tuple(shape)
                               for key, shape in content['shapes'].items()}
        self._rows = {name: row for row, name in enumerate(self.names)}
        for key, shape in self.shapes.items():
            expected = 2 * 2 * len(self.names) * int(np.prod(shape))
            found = (self.folder / f'{key}.bin').stat().st_size
            if found != expected:
                raise ValueError(
                    f'{self.folder}/{key}.bin has {found} bytes, expected {expected}. '
                    'Make the features anew.')

    def check(self, names: Sequence[str], mirrored: Sequence[bool],
              hr: Tensor) -> None:
        """Sees to it that the features are those of these very pictures.

        Args:
            names: of the faces.
            mirrored: whether each is its mirror image.
            hr: (B, 3, S, S) in [0, 1].

        Raises:
            KeyError: no such face.
            ValueError: the face was cut otherwise, or its picture was changed.
        """
        for name, turned, found in zip(names, mirrored, sums_of(hr)):
            expected = self.sums[self._row(name, turned)]
            if found != expected:
                raise ValueError(
                    f'The features of {name} in {self.folder} were made of another '
                    'picture: of another crop or size, or before the file was changed. '
                    'Make them anew with tools/freeze_features.py.')

    def check_lr(self, names: Sequence[str], mirrored: Sequence[bool], lr: Tensor,
                 hr: Tensor) -> None:
        """Sees to it that the features of LR are those of this very LR.

        Args:
            names: of the faces.
            mirrored: whether each is its mirror image.
            lr: (B, 3, h, w) in [0, 1].
            hr: (B, 3, S, S) in [0, 1].

        Raises:
            KeyError: no such face.
            ValueError: LR was made otherwise than when the features were computed.
        """
        rows = [self._row(name, turned) for name, turned in zip(names, mirrored)]
        expected = (_marks_by_default(hr) if self.marks is None else
                    [self.marks[row] for row in rows])
        for name, wanted, found in zip(names, expected, marks_of(lr)):
            if wanted != found:
                made = self.facts.get('degradation', DownsampleToLR().protocol())
                raise ValueError(
                    f'The features of {name} in {self.folder} were made of another LR: '
                    f'{made}. Give the training the same degradation, or make the '
                    'features anew with tools/freeze_features.py. An LR that differs '
                    'between epochs, as that of BlindDegradation without a seed, has '
                    'no frozen features.')

    def _row(self, name: str, mirrored: bool) -> int:
        if name not in self._rows:
            raise KeyError(
                f'{name} is not among the {len(self.names)} faces of {self.folder}. '
                'The features were made of another data set.')
        return 2 * self._rows[name] + int(mirrored)

    def read(self, key: str, names: Sequence[str], mirrored: Sequence[bool]) -> Tensor:
        """A feature of a batch of faces.

        Args:
            key: which feature.
            names: of the faces.
            mirrored: whether each is its mirror image.

        Returns:
            (B, C, H, W) bfloat16.

        Raises:
            KeyError: no such face or feature.
            OSError: the file ends before the row does.
        """
        batch = torch.empty((len(names), *self.shapes[key]), dtype=torch.int16)
        # read, not mapped: of a map, the system reads up to megabytes around each page
        with open(self.folder / f'{key}.bin', 'rb') as file:
            if hasattr(os, 'posix_fadvise'):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for values, name, turned in zip(batch.numpy(), names, mirrored):
                file.seek(self._row(name, turned) * values.nbytes)
                if file.readinto(values) != values.nbytes:
                    raise OSError(f'{file.name} ends before the features of {name}. '
                                  'Make them anew with tools/freeze_features.py.')
        return batch.view(torch.bfloat16)


def sums_of(hr: Tensor) -> List[int]:
    """(B, 3, S, S) in [0, 1] to the sum of each picture's 8-bit values."""
    return (hr * 255).round().long().flatten(1).sum(dim=1).tolist()


def marks_of(lr: Tensor) -> List[int]:
    """(B, 3, h, w) in [0, 1] to the CRC-32 of each picture's size and 8-bit values."""
    pictures = (lr.detach() * 255).round().byte().cpu()
    return [zlib.crc32(repr(tuple(picture.shape)).encode() + picture.numpy().tobytes())
            for picture in pictures]


def _marks_by_default(hr: Tensor) -> List[int]:
    """The marks of LR as ``DownsampleToLR()`` makes it of (B, 3, S, S) in [0, 1]."""
    pictures = (hr.detach() * 255).round().byte().permute(0, 2, 3, 1).cpu()
    step = DownsampleToLR()
    if any(side % step.scale for side in hr.shape[2:]):
        return [-1] * len(hr)  # it makes no LR of such pictures
    small = [step.transform(dict(img=picture.numpy()))['img'] for picture in pictures]
    return marks_of(torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2) / 255)


class FeatureWriter:
    """Writes a store; it can be read when ``finish`` was called.

    Args:
        folder: made if it is not there.
        names: of the faces, in the order of the rows.
    """

    def __init__(self, folder: Union[str, Path], names: Sequence[str]) -> None:
        self.folder, self.names = Path(folder), list(names)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / _INDEX).unlink(missing_ok=True)
        self._maps: Dict[str, np.ndarray] = {}
        self._sums = [-1] * (2 * len(self.names))  # a face that cannot be read has none
        self._marks = [-1] * (2 * len(self.names))

    def write(self, rows: Sequence[int], features: Dict[str, Tensor],
              hr: Tensor, lr: Tensor) -> None:
        """Writes some rows.

        Args:
            rows: B of them.
            features: {key: (B, C, H, W)}.
            hr: (B, 3, S, S) in [0, 1], the pictures.
            lr: (B, 3, h, w) in [0, 1], what was made of them.
        """
        for row, total, mark in zip(rows, sums_of(hr), marks_of(lr)):
            self._sums[row], self._marks[row] = total, mark
        for key, feature in features.items():
            values = feature.detach().to(torch.bfloat16).contiguous().cpu()
            if key not in self._maps:
                self._maps[key] = np.memmap(
                    self.folder / f'{key}.bin', np.int16, 'w+',
                    shape=(2 * len(self.names), *values.shape[1:]))
            self._maps[key][list(rows)] = values.view(torch.int16).numpy()

    def finish(self, facts: Dict[str, Any]) -> None:
        """Makes the store readable.

        Args:
            facts: plain values: what the features were computed with.
        """
        for values in self._maps.values():
            values.flush()
        content = dict(
            format=FORMAT, names=self.names, facts=facts, sums=self._sums,
            marks=self._marks,
            shapes={key: values.shape[1:] for key, values in self._maps.items()})
        write_text(self.folder / _INDEX, json.dumps(content))
