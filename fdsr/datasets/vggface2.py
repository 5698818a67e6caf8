"""Dataset of photographs in VGGFace2's layout."""
from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from PIL import Image

from fdsr.datasets.base import BadSample, FaceDataset, random_subset
from fdsr.datasets.reading import open_image
from fdsr.datasets.vggface2_files import find_files
from fdsr.datasets.vggface2_index import USABLE, FaceIndex, open_index
from fdsr.geometry import alignment
from fdsr.registry import DATASETS
from fdsr.utils import storage

#: Maximum number of images whose size is read to count padded crops.
PADDING_PROBE = 2000


@DATASETS.register_module()
class VGGFace2Dataset(FaceDataset):
    """Faces cropped from images in VGGFace2's layout.

    ``fdsr.datasets.vggface2_files.LAYOUT`` describes the layout. Items are those of
    :class:`FaceDataset`. HR is a square crop, resized with PIL's bicubic:

    - ``align=None``: around the centre of the box, ``crop_scale`` times its longer
    side;
    - ``align='five_point'``: rotated, scaled and shifted so that the five landmarks
      match FFHQ's template (:data:`alignment.FFHQ_TEMPLATE_512`), scaled about the
      centre of the image to an eye distance of ``eye_share * size``.

    Crops beyond the image are filled by reflection. EXIF orientations are not applied,
    because boxes and landmarks refer to the pixels of the file.

    Rows are selected in this order: ``part`` (by identity), ``min_box_side``,
    ``subset``. Selected rows without landmarks etc. are skipped and listed in the
    report. Fixing a row therefore changes neither parts nor subsets.

    Args:
        data_root: Folder in VGGFace2's layout, or its URL.
        split: ``train`` or ``test``.
        size: Side of HR in pixels.
        crop_scale: Side of the crop in longer sides of the box, for ``align=None``.
        align: ``None`` or ``five_point``.
        eye_share: Eye distance as a share of HR's side, for ``five_point``.
        min_box_side: Minimum of the shorter side of the box in pixels.
        jitter: Misalign each face at random, as a detector would, for ``five_point``:
            ``dict(shift=S, angle=A)`` shifts the crop by up to S eye distances along
            each axis and rotates it by up to A degrees.
        part: ``train``, ``val`` or ``all``; divides the training list by identity.
            ``split='test'`` only has ``all``.
        val_identities: Number of identities in ``val``, taken from the end of the list.
        val_seed: Select the identities of ``val`` at random with this seed instead.
        subset: Keep this many random faces, in the order of the list; all if there are
            fewer.
        subset_seed: Seed of the subset.
        cache_dir: Folder of the index; default: ``<data_root>/.fdsr_cache`` or, if that
            is not writable, ``~/.cache/fdsr``.
        name: Name in reports and protocols; default: ``vggface2_<split>[_<part>]``.
        **options: Further arguments of :class:`FaceDataset`. ``max_bad_share`` applies
            to the selected rows of the index and to the remaining samples.

    Raises:
        FileNotFoundError: The root, the image folder or a CSV is missing.
        ValueError: A CSV is malformed, an argument is out of range, or no face remains.
        RuntimeError: More than ``max_bad_share`` of the selected rows are bad.
    """

    def __init__(self, data_root: str | os.PathLike, split: str = 'train',
                 size: int = 256, crop_scale: float = 1.3, align: str | None = None,
                 eye_share: float = 0.243, min_box_side: float = 0,
                 jitter: dict[str, float] | None = None, part: str = 'all',
                 val_identities: int = 200, val_seed: int | None = None,
                 subset: int | None = None,
                 subset_seed: int = 0, cache_dir: str | os.PathLike | None = None,
                 name: str | None = None, **options: Any) -> None:
        self.split, self.part = split, part
        self.size, self.align = int(size), align
        self.crop_scale, self.eye_share = crop_scale, eye_share
        self.min_box_side = min_box_side
        self.jitter = dict(jitter or {})
        self.val_identities, self.val_seed = val_identities, val_seed
        self.subset, self.subset_seed = subset, subset_seed
        self._check_arguments()
        files = find_files(data_root, split)
        self.data_root, self.images = storage.as_path(data_root), files.images
        suffix = '' if part == 'all' else f'_{part}'
        super().__init__(name=name or f'vggface2_{split}{suffix}', **options)
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
            raise ValueError(f'part={self.part!r} divides the training list; '
                             "split='test' only has part='all'.")
        for argument in ('size', 'crop_scale', 'eye_share'):
            if not getattr(self, argument) > 0:
                raise ValueError(f'{argument} is {getattr(self, argument)}, expected '
                                 'a number > 0.')
        unknown = set(self.jitter) - {'shift', 'angle'}
        if unknown or self.jitter and self.align is None:
            raise ValueError(f'jitter is {self.jitter}, expected shift and angle, with '
                             "align='five_point'.")

    def __getstate__(self) -> dict[str, Any]:
        # a small pickle: workers repeat the fast selection from the mapped index
        return {**self.__dict__, '_rows': None}

    # Selection

    @property
    def rows(self) -> np.ndarray:
        """Rows of the index in this dataset, int32 (len,), in order."""
        if self._rows is None:
            selected = self._selected()
            self._rows = selected[self.index.status[selected] == USABLE]
        return self._rows

    def __len__(self) -> int:
        return len(self.rows)

    def _selected(self) -> np.ndarray:
        """Returns the rows of part, box side and subset, including bad rows."""
        rows = np.flatnonzero(self._in_part()).astype(np.int32)
        if self.min_box_side > 0:
            # comparisons with NaN are False: unknown boxes are not too small
            small = self.index.boxes[rows, 2:].min(axis=1) < self.min_box_side
            rows = rows[~small]
        return rows[random_subset(len(rows), self.subset, self.subset_seed)]

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
        """Starts the report with the bad rows of the index and checks their share."""
        selected = self._selected()
        bad = selected[self.index.status[selected] != USABLE]
        if is_main_process():
            rows = [(self.index.name(row), self.index.reason(self.index.status[row]),
                     'index') for row in bad]
            self.report.start(rows + [(*note, 'note') for note in self.index.notes()])
        self.check_bad_share(len(bad), len(selected))
        if len(bad) == len(selected):
            raise ValueError(
                f'None of the {len(self.index)} faces in {self.data_root}/{self.split} '
                f'remains with part={self.part!r} and min_box_side='
                f'{self.min_box_side:g} ({len(bad)} rows are bad): relax them.')
        self.warn_of_small(self.subset, len(selected))

    def all_landmarks(self) -> np.ndarray:
        """Returns the landmarks, float32 (len, 5, 2), in pixels of the images."""
        return self.index.landmarks[self.rows]

    # Loading

    def sample_name(self, index: int) -> str:
        """Returns the name of a sample from the index."""
        return self.index.name(int(self.rows[index]))

    def load(self, index: int) -> dict[str, Any]:
        """Loads, crops and resizes an image, see :class:`FaceDataset`."""
        row = int(self.rows[index])
        name = self.index.name(row)
        image = open_image(self.images / self.index.path(row), name)
        try:
            crop = self._crop(row, image.size, self.jitter)
        except ValueError as error:
            raise BadSample(name, str(error)) from error
        img = alignment.resize(alignment.cut(np.asarray(image), crop), self.size)
        points = alignment.move_points(self.index.landmarks[row], crop, self.size)
        return dict(img=img, landmarks=points, name=name)

    def _crop(self, row: int, image_size: tuple[int, int],
              jitter: dict[str, float] | None = None) -> alignment.FaceCrop:
        landmarks = self.index.landmarks[row]
        if jitter:
            landmarks = alignment.jittered(landmarks, **jitter)
        return alignment.face_crop(
            self.index.boxes[row], landmarks, image_size, self.align is not None,
            self.crop_scale, self.eye_share)

    def padded_share(self, index: int) -> float | None:
        """Returns the share of a crop filled by reflection, or ``None`` for a bad face.

        Only the header of the image is read.
        """
        row = int(self.rows[index])
        try:
            with Image.open(self.images / self.index.path(row)) as file:
                return alignment.padded_share(self._crop(row, file.size), file.size)
        except Exception:  # any error is reported when the image is loaded
            return None

    # Facts

    def protocol(self) -> dict[str, Any]:
        """Returns the facts, as plain JSON, that accompany results on this dataset.

        ``up_sampled`` is the number of faces that are smaller than HR in their image.
        ``padded`` is counted on at most :data:`PADDING_PROBE` evenly spaced faces.
        """
        if self._protocol is None:
            self._protocol = dict(
                name=self.name, dataset=type(self).__name__,
                data=self.data_root.resolve().name, split=self.split, part=self._rule(),
                size=self.size, crop=alignment.crop_in_words(
                    self.align is not None, self.crop_scale, self.eye_share, self.size),
                **(dict(jitter=self.jitter) if self.jitter else {}),
                min_box_side=self.min_box_side, listed=len(self.index),
                identities=self.index.facts['identities'],
                kept=len(self), left_out=self._left_out(), subset=(
                    None if self.subset is None else
                    dict(asked=self.subset, seed=self.subset_seed)),
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

    def _left_out(self) -> dict[str, int]:
        """Returns the number of skipped rows by reason."""
        selected = self._selected()
        found, counts = np.unique(self.index.status[selected], return_counts=True)
        reasons = {self.index.reason(code): int(count)
                   for code, count in zip(found, counts) if code != USABLE}
        return {**reasons,
                'other part, smaller box or not in the subset':
                    len(self.index) - len(selected)}

    def _native_sides(self) -> np.ndarray:
        """Returns the approximate sides of the crops in image pixels, float (len,)."""
        if self.align is None:
            return self.crop_scale * self.index.boxes[self.rows, 2:].max(axis=1)
        return self._eye_distances() / self.eye_share

    def _eye_distances(self) -> np.ndarray:
        """Returns the eye distances in image pixels, float (len,)."""
        landmarks = self.index.landmarks[self.rows]
        return np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=-1)

    def fingerprint(self) -> str:
        """Returns a hash of names, boxes, landmarks, file sizes and dates."""
        digest = hashlib.sha256(super().fingerprint().encode())
        for values in (self.index.boxes, self.index.landmarks):
            digest.update(np.ascontiguousarray(values[self.rows]).tobytes())
        for row in self.rows:
            try:
                size, time = storage.stamp(self.images / self.index.path(int(row)))
                digest.update(f'{size} {time}'.encode())
            except (OSError, TypeError):  # loading reports the missing image
                digest.update(b'missing')
        return digest.hexdigest()

    def mean_eye_share(self) -> float:
        """Returns the eye distance of the alignment, or the mean over all crops."""
        if self.align is not None:
            return self.eye_share
        return (self._eye_distances() / self._native_sides()).mean()

    def _count_padded(self) -> dict[str, int]:
        step = -(-len(self) // PADDING_PROBE)
        shares = [self.padded_share(index) for index in range(0, len(self), step)]
        known = [share for share in shares if share is not None]
        return dict(crops=sum(share > 0 for share in known), of=len(known))
