"""Settings of a preparation."""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fdsr.datasets.image_storage import STORAGES, SUFFIXES
from fdsr.utils import storage

#: Splits in the order of processing; of two duplicates, the earlier one is kept.
SPLITS = ('test', 'val', 'train')


@dataclass(frozen=True)
class Settings:
    """Settings for reading, cropping, filtering, splitting and writing.

    Args:
        data_root: Folder in VGGFace2's layout or, with ``landmarks``, any folder; or
            its URL. CSVs may be URLs too.
        landmarks: CSV of landmarks with VGGFace2's columns; names are paths relative to
            ``data_root`` without suffix.
        boxes: CSV of boxes for ``landmarks``; default: squares around the landmarks.
        listing: List of VGGFace2's layout, ``train`` or ``test``.
        size: Side of HR in pixels.
        align: ``five_point`` or ``box``.
        eye_share: Eye distance as a share of HR's side, for ``five_point``.
        crop_scale: Side of the crop in longer sides of the box, for ``box``.
        exif: Boxes and landmarks refer to the image after applying its EXIF
            orientation.
        min_side: Minimum side of the crop in pixels of the source.
        min_box_side: Minimum of the shorter side of the box in pixels.
        min_sharpness: Minimum variance of the Laplacian of HR.
        duplicates: Skip faces whose 64-bit dHash differs in at most this many bits from
            an earlier one; ``None`` keeps all.
        val_identities: Identities of the split ``val``: a number, or a share below 1.
        test_identities: Identities of the split ``test``, likewise.
        identity: ``folder``: each folder is an identity; ``picture``: each image is.
        seed: Seed of the split.
        encoding: ``jpeg``, ``png`` or, in LMDB, ``raw``.
        quality: Quality of JPEG.
        storage: ``folder``, ``lmdb`` or ``tar``, a WebDataset.
        shard_size: Number of images per shard, before filtering.

    Raises:
        ValueError: An argument is out of range.
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
            raise ValueError('encoding=raw requires storage=lmdb: add it, or use PNG.')
        if self.listing == 'test' and not self.landmarks and (
                self.val_identities or self.test_identities):
            raise ValueError("VGGFace2's test list is not split: omit val_identities "
                             'and test_identities.')
        if self.boxes and not self.landmarks:
            raise ValueError("boxes requires landmarks: a folder in VGGFace2's layout "
                             'has its own boxes.')

    def request(self) -> dict[str, Any]:
        """Returns everything that the result depends on, as plain JSON."""
        files = {}
        for path in filter(None, (self.landmarks, self.boxes)):
            found = storage.stamp(path)
            if found is None:
                raise FileNotFoundError(
                    f'Missing CSV {path}. Create it with tools/extract_landmarks.py or '
                    'correct the path.')
            files[path] = list(found)
        root = self.data_root if storage.is_remote(self.data_root) else str(
            Path(self.data_root).resolve())
        facts = {**asdict(self), 'data_root': root}
        return json.loads(json.dumps({**facts, 'files': files}))
