"""Publishes one network of a training checkpoint as a file of its own."""

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fdsr.apis.networks import FaceGeometry, check_returns_images
from fdsr.interchange.drafts import draft_folder
from fdsr.interchange.publishing import hub, open_model_db
from fdsr.interchange.publishing.card import Facts, results_of, write_card
from fdsr.interchange.recognition import member_name
from fdsr.models.contract import add_traits, traits_of
from fdsr.models.files import Budget, build_network
from fdsr.models.files.checkpoints import (
    CheckpointMismatch,
    external_parts,
    load_backbone,
    open_backbone,
    save_backbone,
)
from fdsr.utils.files import write_json
from fdsr.weights import sha256_of
from fdsr.weights.safetensors_files import SUFFIX

_HASH_DIGITS = 8
#: Maximum bytes of a file name, and those that follow a model's name in it.
_MAX_NAME, _AFTER_NAME = 255, len(f'-{SUFFIX}') + _HASH_DIGITS


@dataclass(frozen=True)
class Published:
    """A published network.

    Args:
        path: the file, ``NAME-HASH.safetensors``, or ``model.safetensors`` in the
            folder of a hub.
        card: the model card beside it.
        facts: content of the card.
        entry: the entry of OpenModelDB beside it, if requested.
    """

    path: Path
    card: Path
    facts: Facts
    entry: Path | None = None


def publish(source: str | Path, folder: str | Path, name: str,
            backbone: str | None = None, half: bool = True,
            licence: str | None = None, about: str = '',
            metrics: Sequence[str | Path] = (), author: str | None = None,
            for_hub: bool = False, url: str | None = None) -> Published:
    """Writes one network to a self-describing file of its own, and a model card.

    The moving average is preferred where there is one. Optimizers, discriminators and
    the run's config are left out. Values of external files (a frozen VGG, the
    dictionary) are included, so the file needs no others.

    Args:
        source: a self-describing checkpoint.
        folder: folder of the file and the card.
        name: name of the model; the file is ``NAME-HASH.safetensors``, from its
            SHA-256.
        backbone: one of the checkpoint's; default: the trained one.
        half: store values in fp16, in half the size; they are used in fp32.
        licence: licence of the weights; default: the source's.
        about: Markdown on data, training and limits for the card.
        metrics: ``metrics.json`` files of ``tools/test.py`` for the card.
        author: author of the model, for the metadata of the file.
        for_hub: write ``model.safetensors``, ``config.json`` and ``README.md``, the
            files of a repository of the Hugging Face hub, instead.
        url: address from which the file will be available; if given, an entry of
            OpenModelDB is written, too, see ``open_model_db.write_entry``.

    Raises:
        FileNotFoundError: see ``load_backbone``.
        CheckpointMismatch: see ``load_backbone``; also if the values of an external
            file cannot be included.
        ValueError: the licence is missing, the name is too long or not a file name, a
            metrics file has another format, a value does not fit into fp16, it is
            unknown which results are those of the network (for a hub), a field of
            OpenModelDB's entry is invalid, or the network finds landmarks.
        CannotWrite: the folder cannot be written; it is left unchanged.
    """
    _check_name(name)
    results = [results_of(file) for file in metrics]
    path, member, facts, _ = open_backbone(source, backbone)
    licence = licence or facts.get('licence')
    if not licence:
        raise ValueError(f'{source} has no licence, and weights without one cannot be '
                         'used by others: name it (--licence).')
    header_of = hub.header_maker(member, results) if for_hub else None
    network = load_backbone(path, member)
    check_returns_images(source, network)
    config, whole = _self_contained(path, facts['backbones'][member], network)
    if half:
        _check_half(whole)
        whole = whole.half()
    folder = Path(folder).expanduser()
    with draft_folder(folder) as draft:
        file = draft / hub.MODEL
        spec = dict(title=name, author=author, description=about.strip())
        save_backbone(whole, config, file, member_name(whole), licence=licence,
                      spec={key: value for key, value in spec.items() if value},
                      published=dict(name=name, source_sha256=sha256_of(path)))
        digest = sha256_of(file)
        if not for_hub:
            file = file.rename(draft / f'{name}-{digest[:_HASH_DIGITS]}{SUFFIX}')
        seen = Facts.of(name, file, digest, config, licence, half,
                        FaceGeometry.of(network), load_backbone(file), network)
        if header_of is None:
            card = write_card(file.with_suffix('.md'), seen, about, results)
        else:
            write_json(draft / hub.CONFIG, hub.config_of(seen))
            card = write_card(draft / hub.CARD, seen, about, results, header_of(seen),
                              hub.OPENING)
        entry = None if url is None else open_model_db.write_entry(
            draft, seen, author, url, about)
        for made in list(draft.iterdir()):
            os.replace(made, folder / made.name)
    return Published(folder / file.name, folder / card.name, seen,
                     None if entry is None else folder / entry.name)


def _check_name(name: str) -> None:
    if not name or name != Path(name).name:
        raise ValueError(f'A model needs a file name as its name, not {name!r}: use '
                         'letters, digits and hyphens.')
    size, limit = len(os.fsencode(name)), _MAX_NAME - _AFTER_NAME
    if size > limit:
        raise ValueError(f'The name {name[:40]!r}… has {size} bytes; the file '
                         f'NAME-HASH{SUFFIX} allows {limit}. Choose a shorter one.')


def _self_contained(path: Path, config: dict[str, Any], network: nn.Module
                    ) -> tuple[dict[str, Any], nn.Module]:
    """Returns the config and a copy of a network without external files."""
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
    for module, record in external_parts(whole).items():
        raise CheckpointMismatch(
            f'{type(network).__name__} takes the values of {module} from {record.path} '
            'and cannot be built without it: publish that file beside it.')
    whole.load_state_dict(network.state_dict())
    if hasattr(whole, 'fuse'):
        whole.fuse()
        config['fused'] = True
    add_traits(whole, asdict(traits_of(network)))
    return config, whole.eval()


def _check_half(network: nn.Module) -> None:
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value.half()).all():
            raise ValueError(
                f'{name} has values that fp16 cannot represent (up to '
                f'{float(value.abs().max()):.3g}). Publish it in fp32 (--fp32).')
