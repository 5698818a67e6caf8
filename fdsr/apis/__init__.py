"""What people call from Python."""

from typing import TYPE_CHECKING, Any

from fdsr.checkpoints import load_backbone

if TYPE_CHECKING:
    from fdsr.apis.super_resolver import FaceSuperResolver

__all__ = ['FaceSuperResolver', 'load_backbone']


def __getattr__(name: str) -> Any:
    """Imports what needs more than ``load_backbone`` when it is asked for."""
    if name == 'FaceSuperResolver':
        from fdsr.apis.super_resolver import FaceSuperResolver
        return FaceSuperResolver
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
