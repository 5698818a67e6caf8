"""What is asked of a preparation."""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fdsr.datasets.image_storage import STORAGES, SUFFIXES

#: The splits, in the order in which their faces are looked at: of two that are alike,
#: the one in the earlier split stays.
SPLITS = ('test', 'val', 'train')


@dataclass(frozen=True)
class Settings:
    """What is read, how it is cut, filtered and split, and how it is written.

    Args:
        data_root: Folder in VGGFace2's layout, or, with ``landmarks``, any folder.
        landmarks: CSV of five points in VGGFace2's columns; names are paths relative
            to ``data_root`` without suffix.
        boxes: CSV of boxes for such a folder; without it, squares about the points.
        listing: ``train`` or ``test``, the list of VGGFace2's layout.
        size: Side of HR in pixels.
        align: ``five_point`` or ``box``.
        eye_share: Distance of the eyes as a share of HR's side, for ``five_point``.
        crop_scale: Side of the cut in longer sides of the box, for ``box``.
        exif: Boxes and points are those of the image turned by its EXIF orientation.
        min_side: Skip faces whose cut is narrower, in pixels of the source.
        min_box_side: Skip faces whose box is narrower (its shorter side).
        min_sharpness: Skip faces whose HR has a smaller variance of the Laplacian.
        duplicates: Skip faces whose dHash differs in at most so many of its 64 bits
            from that of an earlier one; ``None`` keeps all.
        val_identities: Identities of the split ``val``: a number, or a share below 1.
        test_identities: The same for ``test``.
        identity: ``folder`` (of an image) or ``image``: each is somebody else.
        seed: Seed of the split.
        encoding: ``jpeg``, ``png`` or, in LMDB, ``raw``.
        quality: Of JPEG.
        storage: ``folder`` or ``lmdb``.
        shard_size: Images looked at for each shard.

    Raises:
        ValueError: An argument is impossible.
    """

    data_root: str
    landmarks: str | None = None
    boxes: str | None = None
    listing: str = 'train'
    size: int = 256
    align: str = 'five_point'
    eye_share: float = 0.243
    crop_scale: float = 1.3
    exif: bool = False
    min_side: float = 0
    min_box_side: float = 0
    min_sharpness: float = 0
    duplicates: int | None = None
    val_identities: float = 0
    test_identities: float = 0
    identity: str = 'folder'
    seed: int = 0
    encoding: str = 'jpeg'
    quality: int = 95
    storage: str = 'folder'
    shard_size: int = 2000

    def __post_init__(self) -> None:
        choices = dict(align=('five_point', 'box'), identity=('folder', 'picture'),
                       listing=('train', 'test'), encoding=tuple(SUFFIXES),
                       storage=STORAGES)
        for argument, allowed in choices.items():
            if getattr(self, argument) not in allowed:
                raise ValueError(f'{argument} is {getattr(self, argument)!r}, expected '
                                 f'one of {", ".join(allowed)}.')
        ranges = dict(
            size=(16, 4096), eye_share=(0.1, 0.5), crop_scale=(0.5, 4),
            quality=(1, 100), shard_size=(1, 1_000_000), val_identities=(0, 1e9),
            test_identities=(0, 1e9), seed=(0, 2**32 - 1), min_side=(0, 1e6),
            min_box_side=(0, 1e6), min_sharpness=(0, 1e9), duplicates=(0, 16))
        for argument, (low, high) in ranges.items():
            value = getattr(self, argument)
            if value is not None and not low <= value <= high:
                raise ValueError(f'{argument} is {value}, expected a number from '
                                 f'{low:g} to {high:g}.')
        if self.encoding == 'raw' and self.storage != 'lmdb':
            raise ValueError('Raw pixels are only written to LMDB: add storage=lmdb, '
                             'or take PNG.')
        if self.listing == 'test' and not self.landmarks and (
                self.val_identities or self.test_identities):
            raise ValueError('VGGFace2\'s test list is not split, all of it is test: '
                             'leave val_identities and test_identities out.')
        if self.boxes and not self.landmarks:
            raise ValueError('boxes needs landmarks beside it: a folder in VGGFace2\'s '
                             'layout has both.')

    def request(self) -> dict[str, Any]:
        """All that the result depends on, with the dates of the CSVs, as plain JSON."""
        files = {}
        for path in filter(None, (self.landmarks, self.boxes)):
            if not Path(path).is_file():
                raise FileNotFoundError(
                    f'There is no CSV {path}. Write it with '
                    'tools/extract_landmarks.py, or correct the path.')
            stat = Path(path).stat()
            files[path] = [stat.st_size, stat.st_mtime_ns]
        facts = {**asdict(self), 'data_root': str(Path(self.data_root).resolve())}
        return json.loads(json.dumps({**facts, 'files': files}))

    def alignment_in_words(self) -> str:
        """The cut, as a protocol tells it."""
        cut = (f'square around the box, {self.crop_scale:g} x its longer side'
               if self.align == 'box' else
               '5-point similarity to the FFHQ template, eye distance '
               f'{self.eye_share:g} of the side')
        return f'{cut}; reflected beyond the picture; PIL bicubic to {self.size} px'
