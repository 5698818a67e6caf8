"""Datasets of faces and their transforms.

The datasets are imported on first use: restoring needs this package's geometry, but
none of what training needs.
"""
from importlib import import_module
from typing import Any

_MODULES = {
    'BadSample': 'base',
    'SyntheticFacesDataset': 'synthetic_faces',
    'FaceDataset': 'base',
    'FaceManifestDataset': 'face_manifest',
    'SampleKey': 'base',
    'VGGFace2Dataset': 'vggface2',
    'collate_samples': 'base',
    'seeded': 'base',
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Imports what is asked for."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
