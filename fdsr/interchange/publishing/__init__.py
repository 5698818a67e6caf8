"""Publishes trained networks as single files with model cards."""

from fdsr.interchange.publishing.card import read_about
from fdsr.interchange.publishing.publish import Published, publish

__all__ = ['Published', 'publish', 'read_about']
