"""What people call from Python."""

from fdsr.checkpoints import load_backbone

__all__ = ['load_backbone']
