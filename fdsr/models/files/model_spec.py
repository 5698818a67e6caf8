"""Facts of a network for other programs: the keys of Stability-AI/ModelSpec.

``fdsr.weights.safetensors_files`` writes them into the metadata of a file.
"""

from collections.abc import Mapping
from typing import Any


def architecture_of(config: Mapping[str, Any]) -> str:
    """Returns an id of a network's architecture, such as ``fdsr-compactsr``.

    Args:
        config: config that builds the network.
    """
    scope, _, name = config['type'].rpartition('.')
    return f'{scope or "fdsr"}-{name}'.lower()


def model_spec(title: str, architecture: str, description: str,
               licence: str | None = None, size: int | None = None,
               **more: str | None) -> dict[str, str | None]:
    """Returns ModelSpec's values for a file, without version, hash and date.

    Without a date, equal networks give equal files.

    Args:
        title: name of the model.
        architecture: its id, see ``architecture_of``.
        description: text for users.
        licence: licence of the weights.
        size: side of the SR image in pixels.
        **more: further keys of the specification, such as ``author``.
    """
    return dict(
        architecture=architecture, implementation='fdsr', title=title,
        description=description, license=licence,
        resolution=None if size is None else f'{size}x{size}', **more)


def sentence_on(config: Mapping[str, Any], traits: Mapping[str, Any]) -> str:
    """Returns a sentence on what a network does.

    Args:
        config: config that builds the network.
        traits: see ``fdsr.models.contract.Traits``.
    """
    size, scale = traits['size'], traits['scale']
    sides = (f' from {size // scale}×{size // scale} to {size}×{size} pixels'
             if size else '')
    return f'{config["type"]}: super-resolves RGB faces{sides} (×{scale}).'
