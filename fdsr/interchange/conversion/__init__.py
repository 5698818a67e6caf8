"""Converts checkpoints of other projects to self-describing files."""

from fdsr.interchange.conversion.convert import CONVERTERS, convert

__all__ = ['CONVERTERS', 'convert']
