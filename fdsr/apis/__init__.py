"""The Python API: networks from files, faces and photographs restored."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fdsr.models.files.checkpoints import load_backbone

if TYPE_CHECKING:
    from fdsr.apis.photo import FaceStatus, PhotoFace, RestoredPhoto
    from fdsr.apis.super_resolver import FaceSuperResolver

__all__ = [
    'FaceStatus', 'FaceSuperResolver', 'PhotoFace', 'RestoredPhoto', 'load_backbone'
]


def __getattr__(name: str) -> Any:
    """Imports a class when it is used, because ``load_backbone`` needs less."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module = 'super_resolver' if name == 'FaceSuperResolver' else 'photo'
    return getattr(import_module(f'fdsr.apis.{module}'), name)
