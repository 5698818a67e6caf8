"""What people call from Python."""

from typing import TYPE_CHECKING, Any

from fdsr.models.files.checkpoints import load_backbone

if TYPE_CHECKING:
    from fdsr.apis.photo import FaceStatus, PhotoFace, RestoredPhoto
    from fdsr.apis.super_resolver import FaceSuperResolver

__all__ = [
    'FaceStatus', 'FaceSuperResolver', 'PhotoFace', 'RestoredPhoto', 'load_backbone'
]
_ROOMS = {
    'FaceSuperResolver': 'super_resolver',
    'FaceStatus': 'photo',
    'PhotoFace': 'photo',
    'RestoredPhoto': 'photo',
}


def __getattr__(name: str) -> Any:
    """Imports what needs more than ``load_backbone`` when it is asked for."""
    if name in _ROOMS:
        from importlib import import_module
        return getattr(import_module(f'fdsr.apis.{_ROOMS[name]}'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
