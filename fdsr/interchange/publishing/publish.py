"""From a checkpoint of a training run to one file with one network in it."""

import copy
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple, Union

import torch
from torch import nn

from fdsr.apis.networks import FaceGeometry
from fdsr.interchange.publishing.card import Facts, results_of, write_card
from fdsr.models.contract import add_traits, traits_of
from fdsr.models.files import Budget, build_network
from fdsr.models.files.checkpoints import (
    CheckpointMismatch,
    external_parts,
    load_backbone,
    open_backbone,
    save_backbone,
)
from fdsr.weights import sha256_of

_HASH_DIGITS = 8


class CannotPublish(OSError):
    """The folder takes no file."""


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
        ValueError: there is no licence, a name that is no file's, metrics that are
            none, or a value that does not fit into fp16.
        CannotPublish: the folder takes no file. Nothing is left in it then.
    """
    if not name or name != Path(name).name:
        raise ValueError(f'A model is named as its file is, so not {name!r}: '
                         'take letters, digits and hyphens.')
    results = [results_of(file) for file in metrics]
    path, member, facts, _ = open_backbone(source, backbone)
    licence = licence or facts.get('licence')
    if not licence:
        raise ValueError(
            f'{source} tells no licence, and nobody may use weights without one: name '
            'it (--licence).')
    network = load_backbone(path, member)
    config, whole = _self_contained(path, facts['backbones'][member], network)
    if half:
        _check_half(whole)
        whole = whole.half()
    folder = Path(folder).expanduser()
    with _draft(folder) as draft:
        unnamed = draft / 'network.pth'
        save_backbone(whole, config, unnamed, licence=licence,
                      published=dict(name=name, source_sha256=sha256_of(path)))
        digest = sha256_of(unnamed)
        file = unnamed.rename(draft / f'{name}-{digest[:_HASH_DIGITS]}.pth')
        seen = Facts.of(name, file, digest, config, licence, half,
                        FaceGeometry.of(network),
                        load_backbone(file), network)
        card = write_card(file.with_suffix('.md'), seen, about, results)
        kept = [made.rename(folder / made.name) for made in (file, card)]
    return Published(*kept, seen)


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A folder within another, there as long as file and card are made.

    Raises:
        CannotPublish: it cannot be made, or something cannot be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix='.publish-') as draft:
            yield Path(draft)
    except OSError as error:
        raise CannotPublish(
            f'Nothing can be written to {folder} ({error}). Make room there, or name '
            'another folder (--out).') from error


def _self_contained(path: Path, config: Dict[str, Any], network: nn.Module
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
    whole = build_network(path, config, Budget.of(network.state_dict()))
    left = external_parts(whole)
    if left:
        part, record = next(iter(left.items()))
        raise CheckpointMismatch(
            f'{type(network).__name__} takes the values of {part} from {record.path} '
            'and cannot do without: publish that file beside it.')
    whole.load_state_dict(network.state_dict())
    add_traits(whole, traits_of(network).as_dict())
    return config, whole.eval()


def _check_half(network: nn.Module) -> None:
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value.half()).all():
            raise ValueError(
                f'{name} has values that fp16 cannot hold (up to '
                f'{float(value.abs().max()):.3g}). Publish it in fp32 (--fp32).')
