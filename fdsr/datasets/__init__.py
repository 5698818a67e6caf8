"""Datasets of faces and their transforms.

The datasets are imported on first use, because restoring needs only a part of this
package.
"""
from importlib import import_module
from typing import Any

_MODULES = {
    'BadSample': 'base',
    'ConcatFaces': 'concat_faces',
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
    """Imports a name on first use."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
