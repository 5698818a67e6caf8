"""Data sets of faces and their transforms."""
from fdsr.datasets import transforms  # noqa: F401  registers them
from fdsr.datasets.base import (
    BadSample,
    FaceDataset,
    SampleKey,
    collate_samples,
    seeded,
)
from fdsr.datasets.drawn_faces import DrawnFacesDataset
from fdsr.datasets.face_manifest import FaceManifestDataset
from fdsr.datasets.vggface2 import VGGFace2Dataset

__all__ = [
    'BadSample',
    'DrawnFacesDataset',
    'FaceDataset',
    'FaceManifestDataset',
    'SampleKey',
    'VGGFace2Dataset',
    'collate_samples',
    'seeded',
]
