"""From the authors' own checkpoints to files that describe themselves."""

from fdsr.interchange.conversion.convert import CONVERTERS, convert

__all__ = ['CONVERTERS', 'convert']
