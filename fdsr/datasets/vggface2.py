"""Photographs in VGGFace2's layout."""
from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np
from mmengine.dist import is_main_process
from PIL import Image

from fdsr.datasets.base import BadSample, FaceDataset
from fdsr.datasets.reading import open_image
from fdsr.datasets.vggface2_files import find_files
from fdsr.datasets.vggface2_index import USABLE, FaceIndex, open_index
from fdsr.geometry import alignment
from fdsr.registry import DATASETS

#: Images whose size is looked up to tell how many crops are padded.
PADDING_PROBE = 2000


@DATASETS.register_module()
class VGGFace2Dataset(FaceDataset):
    """Faces cut out of images that lie in VGGFace2's layout.

    The layout is described by ``fdsr.datasets.vggface2_files.LAYOUT``. Items are
    those of :class:`FaceDataset`; HR is a square, by PIL bicubic, of one of two cuts:

    - ``align=None``: around the box's centre, ``crop_scale`` times its longer side;
    - ``align='five_point'``: turned, scaled and shifted so that the five landmarks lie
      on FFHQ's template (:data:`alignment.FFHQ_TEMPLATE_512`), itself scaled about the
      image's centre until its eyes are ``eye_share * size`` apart.

    Where a cut leaves the image, the image is continued by reflection. Images
    are read as they lie in the file (``fdsr.datasets.reading``): an EXIF orientation
    is not applied, for boxes and landmarks are given in the file's own pixels.

    The rows are selected in this order: the part (by identity), ``min_box_side``, the
    subset; of those, rows without landmarks and the like are left out and listed in
    the report. So neither the parts nor a subset change with a fixed row.

    Args:
        data_root: Folder in VGGFace2's layout.
        split: ``train`` or ``test``.
        size: Side of HR in pixels.
        crop_scale: Side of the square in longer sides of the box; for ``align=None``.
        align: ``None`` or ``five_point``.
        eye_share: Distance of the eyes as a share of HR's side; for ``five_point``.
        min_box_side: Leave faces out whose box's shorter side is smaller, in pixels.
        part: ``train``, ``val`` or ``all``: a validation part of the training list is
            taken apart by identity. Only ``all`` for ``split='test'``.
        val_identities: Number of identities in ``val``: the last ones of the list...
        val_seed: ... or, if given, that many drawn by this seed.
        subset: Keep this many faces, drawn by ``subset_seed``, in the list's order;
            all of them if there are fewer.
        subset_seed: Seed of the subset.
        cache_dir: Folder for the index; ``None`` takes ``<data_root>/.fdsr_cache`` or,
            where that cannot be written, ``~/.cache/fdsr``.
        pipeline: See :class:`FaceDataset`, as the following ones.
        seed: Seed of the transforms.
        test_mode: Transforms draw the same in every epoch.
        max_bad_share: Share of bad samples at which to stop: of the selected rows when
            the index is read, and of the remaining samples while they are loaded.
        report_dir: Folder for the list of skipped samples.
        name: Name in reports and protocols; default ``vggface2_<split>[_<part>]``.

    Raises:
        FileNotFoundError: The root, the image folder or a CSV is missing.
        ValueError: A CSV is malformed, an argument is impossible, or nothing is left
            after the selection.
        RuntimeError: More than ``max_bad_share`` of the selected rows are bad.
    """

    def __init__(self, data_root: str | os.PathLike, split: str = 'train',
                 size: int = 256, crop_scale: float = 1.3, align: str | None = None,
                 eye_share: float = 0.243, min_box_side: float = 0,
                 part: str = 'all', val_identities: int = 200,
                 val_seed: int | None = None, subset: int | None = None,
                 subset_seed: int = 0, cache_dir: str | os.PathLike | None = None,
                 pipeline: Sequence[dict | Callable] = (), seed: int = 0,
                 test_mode: bool = False, max_bad_share: float = 0.01,
                 report_dir: str | os.PathLike | None = None,
                 name: str | None = None) -> None:
        self.split, self.part = split, part
        self.size, self.align = int(size), align
        self.crop_scale, self.eye_share = crop_scale, eye_share
        self.min_box_side = min_box_side
        self.val_identities, self.val_seed = val_identities, val_seed
        self.subset, self.subset_seed = subset, subset_seed
        self._check_arguments()
        files = find_files(data_root, split)
        self.data_root, self.images = Path(data_root), files.images
        suffix = '' if part == 'all' else f'_{part}'
        super().__init__(pipeline, seed, test_mode, max_bad_share, report_dir,
                         name or f'vggface2_{split}{suffix}')
        self.index: FaceIndex = open_index(files, split, cache_dir)
        self._rows: np.ndarray | None = None
        self._protocol: dict[str, Any] | None = None
        self._report_index()

    def _check_arguments(self) -> None:
        choices = dict(split=('train', 'test'), part=('train', 'val', 'all'),
                       align=(None, 'five_point'))
        for argument, allowed in choices.items():
            if getattr(self, argument) not in allowed:
                raise ValueError(f'{argument} is {getattr(self, argument)!r}, expected '
                                 f'one of {", ".join(map(repr, allowed))}.')
        if self.split == 'test' and self.part != 'all':
            raise ValueError(f'part={self.part!r} takes the training list apart; '
                             'split=\'test\' has only part=\'all\'.')
        for argument in ('size', 'crop_scale', 'eye_share'):
            if not getattr(self, argument) > 0:
                raise ValueError(f'{argument} is {getattr(self, argument)}, expected '
                                 'a number > 0.')
        if self.subset is not None and self.subset < 1:
            raise ValueError(f'subset is {self.subset}, expected a number >= 1, or '
                             'None for all faces.')

    def __getstate__(self) -> dict[str, Any]:
        # a worker selects anew from the mapped index: a small pickle, and quick
        return {**self.__dict__, '_rows': None}

    # Selection

    @property
    def rows(self) -> np.ndarray:
        """int32 (len,), rows of the index that this set consists of, in order."""
        if self._rows is None:
            selected = self._selected()
            self._rows = selected[self.index.status[selected] == USABLE]
        return self._rows

    def __len__(self) -> int:
        return len(self.rows)

    def _selected(self) -> np.ndarray:
        """Rows of part, box side and subset, good and bad ones."""
        rows = np.flatnonzero(self._in_part()).astype(np.int32)
        if self.min_box_side > 0:
            # a box that is not known cannot be called too small
            small = self.index.boxes[rows, 2:].min(axis=1) < self.min_box_side
            rows = rows[~small]
        if self.subset is not None and self.subset < len(rows):
            # RandomState's stream is frozen: the same subset with every numpy
            order = np.random.RandomState(self.subset_seed).permutation(len(rows))
            rows = rows[np.sort(order[:self.subset])]
        return rows

    def _in_part(self) -> np.ndarray:
        identities = self.index.identities
        if self.part == 'all':
            return np.ones(len(identities), bool)
        total = self.index.facts['identities']
        if not 0 < self.val_identities < total:
            raise ValueError(
                f'val_identities is {self.val_identities}, expected 1 to {total - 1}: '
                f'{self.data_root} has {total} identities in its training list.')
        order = np.arange(total) if self.val_seed is None else \
            np.random.RandomState(self.val_seed).permutation(total)
        in_val = np.zeros(total, bool)
        in_val[order[-self.val_identities:]] = True
        return in_val[identities] == (self.part == 'val')

    def _report_index(self) -> None:
        """Start the report with the index's bad rows; stop if they are too many."""
        selected = self._selected()
        bad = selected[self.index.status[selected] != USABLE]
        if is_main_process():
            self.report.start(self._index_rows(bad))
        self.check_bad_share(len(bad), len(selected))
        if len(bad) == len(selected):
            raise ValueError(
                f'No face is left of the {len(self.index)} in {self.data_root}/'
                f'{self.split} with part={self.part!r} and min_box_side='
                f'{self.min_box_side:g} ({len(bad)} rows are bad): relax them.')
        if self.subset is not None and self.subset > len(selected):
            warnings.warn(f'subset={self.subset} faces of {self.name} were asked for, '
                          f'{len(selected)} are there: all of them are taken.',
                          stacklevel=3)

    def _index_rows(self, bad: np.ndarray) -> Iterator[tuple[str, str, str]]:
        for row in bad:
            reason = self.index.reason(self.index.status[row])
            yield self.index.name(row), reason, 'index'
        for name, note in self.index.notes():
            yield name, note, 'note'

    def all_landmarks(self) -> np.ndarray:
        """float32 (len, 5, 2) in pixels of the images, which are not opened."""
        return self.index.landmarks[self.rows]

    # Loading

    def sample_name(self, index: int) -> str:
        """The name of a sample, by the index alone."""
        return self.index.name(int(self.rows[index]))

    def load(self, index: int) -> dict[str, Any]:
        """Image, cut and resized, with its landmarks; see :class:`FaceDataset`."""
        row = int(self.rows[index])
        name = self.index.name(row)
        image = open_image(self.images / self.index.path(row), name)
        try:
            crop = self._crop(row, image.size)
        except ValueError as error:
            raise BadSample(name, str(error)) from error
        img = alignment.cut_and_resize(image, crop, self.size)
        points = alignment.move_points(self.index.landmarks[row], crop, self.size)
        return dict(img=img, landmarks=points, name=name)

    def _crop(self, row: int, image_size: tuple[int, int]) -> alignment.FaceCrop:
        box = self.index.boxes[row]
        if self.align is None:
            return alignment.box_crop(box, image_size, self.crop_scale)
        # not needed for the cut, but it tells a row that is another image's
        alignment.check_box(box, image_size)
        return alignment.five_point_crop(self.index.landmarks[row], image_size,
                                         self.eye_share)

    def padded_share(self, index: int) -> float | None:
        """Share of a face's crop that reflection filled; ``None`` if it is bad.

        Only the image's header is read.

        Args:
            index: Index of the sample.
        """
        row = int(self.rows[index])
        try:
            with Image.open(self.images / self.index.path(row)) as file:
                return alignment.padded_share(self._crop(row, file.size), file.size)
        except Exception:  # of whatever kind: it is told where the image is loaded
            return None

    # Facts

    def protocol(self) -> dict[str, Any]:
        """Which faces these are, and how they were cut.

        ``up_sampled`` tells how many are smaller than HR in their image: their HR is
        itself an enlargement. ``padded`` is counted on evenly spaced faces where there
        are more than :data:`PADDING_PROBE`.
        """
        if self._protocol is None:
            self._protocol = dict(
                name=self.name, dataset=type(self).__name__,
                data=self.data_root.resolve().name, split=self.split, part=self._rule(),
                size=self.size, crop=self._cut_in_words(),
                min_box_side=self.min_box_side, listed=len(self.index),
                identities=self.index.facts['identities'],
                kept=len(self), left_out=self._left_out(), subset=self._subset_rule(),
                list_file=self.index.facts['list_file'],
                rows_passed_over=self.index.facts['passed_over'],
                rows_not_listed=self.index.facts['rows_not_listed'],
                up_sampled=int((self._native_sides() < self.size).sum()),
                padded=self._count_padded())
        return self._protocol

    def _rule(self) -> str:
        if self.part == 'all':
            return 'all'
        which = 'the last ones of the list' if self.val_seed is None else \
            f'drawn with seed {self.val_seed}'
        return (f'{self.part} (validation: {self.val_identities} of '
                f'{self.index.facts["identities"]} identities, {which})')

    def _cut_in_words(self) -> str:
        if self.align is None:
            cut = f'square around the box, {self.crop_scale:g} x its longer side'
        else:
            cut = ('5-point similarity to the FFHQ template, eye distance '
                   f'{self.eye_share:g} of the side')
        return f'{cut}; reflected beyond the picture; PIL bicubic to {self.size} px'

    def _subset_rule(self) -> dict[str, int] | None:
        if self.subset is None:
            return None
        return dict(asked=self.subset, seed=self.subset_seed)

    def _left_out(self) -> dict[str, int]:
        """How many rows were left out of the selection, by reason."""
        selected = self._selected()
        found, counts = np.unique(self.index.status[selected], return_counts=True)
        reasons = {self.index.reason(code): int(count)
                   for code, count in zip(found, counts) if code != USABLE}
        return {**reasons,
                'other part, smaller box or not in the subset':
                    len(self.index) - len(selected)}

    def _native_sides(self) -> np.ndarray:
        """float (len,), image pixels that a side of HR stands for (about)."""
        if self.align is None:
            return self.crop_scale * self.index.boxes[self.rows, 2:].max(axis=1)
        eyes = self.index.landmarks[self.rows, 1] - self.index.landmarks[self.rows, 0]
        return np.linalg.norm(eyes, axis=-1) / self.eye_share

    def fingerprint(self) -> str:
        """A hash of names, boxes, landmarks, and each image's size and date."""
        digest = hashlib.sha256(super().fingerprint().encode())
        for values in (self.index.boxes, self.index.landmarks):
            digest.update(np.ascontiguousarray(values[self.rows]).tobytes())
        for row in self.rows:
            try:
                facts = (self.images / self.index.path(int(row))).stat()
                digest.update(f'{facts.st_size} {facts.st_mtime_ns}'.encode())
            except OSError:  # a missing image is skipped, and told there
                digest.update(b'missing')
        return digest.hexdigest()

    def mean_eye_share(self) -> float:
        """Given by the alignment; else the mean over the faces' squares."""
        if self.align is not None:
            return self.eye_share
        eyes = self.index.landmarks[self.rows, 1] - self.index.landmarks[self.rows, 0]
        return (np.linalg.norm(eyes, axis=-1) / self._native_sides()).mean()

    def _count_padded(self) -> dict[str, int]:
        step = -(-len(self) // PADDING_PROBE)
        shares = [self.padded_share(index) for index in range(0, len(self), step)]
        known = [share for share in shares if share is not None]
        return dict(crops=sum(share > 0 for share in known), of=len(known))
