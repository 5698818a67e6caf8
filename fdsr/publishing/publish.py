"""From a checkpoint of a training run to one file with one network in it."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import torch
from torch import nn

from fdsr.apis.networks import FaceSetting
from fdsr.checkpoints import (
    CheckpointMismatch,
    external_parts,
    load_backbone,
    open_backbone,
    save_backbone,
)
from fdsr.publishing.card import Facts, write_card
from fdsr.registry import MODELS
from fdsr.weights import sha256_of, weights_follow

_HASH_DIGITS = 8


@dataclass(frozen=True)
class Published:
    """What was written.

    Args:
        path: of the file with the network, ``NAME-HASH.pth``.
        card: of the model card beside it.
        facts: what the card says of it.
    """

    path: Path
    card: Path
    facts: Facts


def publish(source: Union[str, Path], folder: Union[str, Path], name: str,
            backbone: Optional[str] = None, half: bool = True,
            licence: Optional[str] = None, about: str = '',
            metrics: Sequence[Union[str, Path]] = ()) -> Published:
    """Writes one network, nothing else, into a file that describes itself, and a card.

    The moving average is taken where there is one. Optimisers, discriminators and the
    run's config stay behind. Values that stand in files of their own (a frozen VGG, the
    dictionary) are put in, so that the file needs no other.

    Args:
        source: a self-describing checkpoint.
        folder: where file and card go.
        name: of the model; the file is ``NAME-HASH.pth``, by its SHA-256.
        backbone: which of the checkpoint's; default: the trained one.
        half: keep values in fp16, half as large; they are used in fp32.
        licence: of the weights; default: the source's own.
        about: Markdown for the card: data, limits, how it was trained.
        metrics: ``metrics.json`` files of ``tools/test.py`` for the card.

    Raises:
        FileNotFoundError, CheckpointMismatch: see ``load_backbone``; also a network
            with a part whose values cannot be put in.
        ValueError: there is no licence, or a value does not fit into fp16.
    """
    path, member, facts, _ = open_backbone(source, backbone)
    licence = licence or facts.get('licence')
    if not licence:
        raise ValueError(
            f'{source} tells no licence, and nobody may use weights without one: name '
            'it (--licence).')
    network = load_backbone(path, member)
    config, whole = _self_contained(facts['backbones'][member], network)
    if half:
        _check_half(whole)
        whole = whole.half()
    folder = Path(folder)
    unfinished = folder / f'{name}.unfinished.pth'
    save_backbone(whole, config, unfinished, faces=facts.get('faces'), licence=licence,
                  published=dict(name=name, source_sha256=sha256_of(path)))
    digest = sha256_of(unfinished)
    target = folder / f'{name}-{digest[:_HASH_DIGITS]}.pth'
    os.replace(unfinished, target)
    seen = Facts.of(name, target, digest, config, licence, half,
                    FaceSetting.of(network, facts.get('faces') or {}),
                    load_backbone(target), network)
    card = write_card(target.with_suffix('.md'), seen, about, metrics)
    return Published(target, card, seen)


def _self_contained(config: Dict[str, Any], network: nn.Module
                    ) -> Tuple[Dict[str, Any], nn.Module]:
    """A network that takes no value from another file, with the same values.

    Raises:
        CheckpointMismatch: a part of it cannot do without its file.
    """
    config = copy.deepcopy(config)
    encoder = getattr(network, 'encoder', None)
    if getattr(encoder, 'external_weights', None) is not None:
        settings = dict(config.get('encoder') or {})
        settings.pop('sha256', None)
        config['encoder'] = dict(settings, pretrained=None, frozen=encoder.frozen)
    if 'file' in (config.get('dictionary') or {}):
        spec = network.dictionary.spec
        config['dictionary'] = {
            **{key: value for key, value in config['dictionary'].items()
               if key != 'file'},
            'num_atoms': {name: list(counts)
                          for name, counts in spec.num_atoms.items()},
            'sides': {name: list(sides) for name, sides in spec.sides.items()}}
    with weights_follow():
        whole = MODELS.build(config)
    left = external_parts(whole)
    if left:
        part, record = next(iter(left.items()))
        raise CheckpointMismatch(
            f'{type(network).__name__} takes the values of {part} from {record.path} '
            'and cannot do without: publish that file beside it.')
    whole.load_state_dict(network.state_dict())
    return config, whole.eval()


def _check_half(network: nn.Module) -> None:
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value.half()).all():
            raise ValueError(
                f'{name} has values that fp16 cannot hold (up to '
                f'{float(value.abs().max()):.3g}). Publish it in fp32 (--fp32).')
