"""Writes RCAN and SRFBN under the names of their authors' files."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fdsr.interchange.conversion.convert import CONVERTERS
from fdsr.interchange.recognition import READERS
from fdsr.models.files.checkpoints import load_backbone
from fdsr.utils.files import atomic_path

#: Methods in ``CONVERTERS`` by the type of the network.
_METHODS = {'RCAN': 'rcan', 'SRFBN': 'srfbn'}
_AUTHORS_STEPS = 4


def check_authors_keys(source: str | Path, backbone: str | None = None) -> None:
    """Checks that a network can be written under the authors' names.

    Args:
        source: a self-describing file.
        backbone: one of its networks; default: the trained one.

    Raises:
        ValueError: it is not RCAN or SRFBN, or an SRFBN of other than four steps, which
            the authors' files cannot state.
        FileNotFoundError, CheckpointMismatch: see ``load_backbone``.
    """
    _method_of(source, load_backbone(source, backbone))


def write_authors_keys(source: str | Path) -> Path:
    """Writes the network of a published file under the names of the authors' files.

    Args:
        source: the published file, ``NAME-HASH.pth`` or ``NAME-HASH.safetensors``.

    Returns:
        The written file, ``NAME-HASH-authors.pth``: a state dict in fp32 with DIV2K's
        mean, as in the authors' files. ``tools/convert_checkpoint.py`` reads it.

    Raises:
        ValueError, FileNotFoundError, CheckpointMismatch: see ``check_authors_keys``.
        OSError: the file cannot be written.
    """
    source = Path(source)
    network = load_backbone(source)
    state = authors_state(_method_of(source, network), network)
    path = source.with_name(f'{source.stem}-authors.pth')
    with atomic_path(path) as part:
        torch.save(state, part)
    return path


def authors_state(method: str, network: nn.Module) -> dict[str, Tensor]:
    """Returns a network's state dict under the authors' names.

    Args:
        method: ``rcan`` or ``srfbn``.
        network: fdsr's network of this method.
    """
    converter, own = CONVERTERS[method], network.state_dict()
    config: dict[str, Any] = READERS[type(network).__name__](own)
    state = {converter.official_names(key, config)[0]: value.contiguous()
             for key, value in own.items()}
    return {**converter.constants(), **state}


def _method_of(source: str | Path, network: nn.Module) -> str:
    kind = type(network).__name__
    if kind not in _METHODS:
        raise ValueError(f'{source} has a {kind}; only {" and ".join(_METHODS)} can be '
                         "written in the authors' names.")
    if getattr(network, 'steps', _AUTHORS_STEPS) != _AUTHORS_STEPS:
        raise ValueError(
            f'{source} has an SRFBN of {network.steps} steps. A file in the authors\' '
            f'names does not state the steps, and is read with {_AUTHORS_STEPS}.')
    return _METHODS[kind]
