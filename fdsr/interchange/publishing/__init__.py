"""Publishes trained networks as single files with model cards."""

from fdsr.interchange.publishing.authors_keys import (
    check_authors_keys,
    write_authors_keys,
)
from fdsr.interchange.publishing.card import read_about
from fdsr.interchange.publishing.publish import Published, publish

__all__ = ['Published', 'check_authors_keys', 'publish', 'read_about',
           'write_authors_keys']
