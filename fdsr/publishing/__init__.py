"""Trained networks as files that can be handed on, each with a model card."""

from fdsr.publishing.publish import Published, publish

__all__ = ['Published', 'publish']
