"""Trained networks as files that can be handed on, each with a model card."""

from fdsr.interchange.publishing.card import read_about
from fdsr.interchange.publishing.publish import CannotPublish, Published, publish

__all__ = ['CannotPublish', 'Published', 'publish', 'read_about']
