"""Builds the networks to profile from configs and checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from fdsr.engine.config import datasets_of
from fdsr.models.backbones import EncoderDecoder, FeatureEncoder
from fdsr.models.contract import build_backbone
from fdsr.models.dictionary.files import read_dictionary
from fdsr.models.files.checkpoints import load_backbone, read_checkpoint
from fdsr.models.restorers.prediction import BICUBIC, reported_names
from fdsr.profiling.detection import usual_detection_part
from fdsr.profiling.profile import Profile, profile_backbone, sr_size_of
from fdsr.registry import MODELS
from fdsr.utils.configs import plain
from fdsr.weights import weights_follow

#: The paper's, for configs and networks that do not define it.
PAPER_LR_SIZE = 32


@dataclass
class Subject:
    """A network to profile.

    Args:
        name: its name in tables.
        network: the backbone.
        lr_size: side of its LR images.
        notes: differences from the trained network.
    """

    name: str
    network: nn.Module
    lr_size: int
    notes: list[str] = field(default_factory=list)


def subjects_of_config(config: Config, checkpoint: str | None = None,
                       lr_size: int | None = None,
                       num_atoms: int = 512) -> list[Subject]:
    """Builds the networks of a training config.

    Without a checkpoint they are untrained and need no files, neither VGG's weights nor
    the dictionary. The number of atoms is read from the dictionary's file if it exists.
    The time of matching does not depend on the atoms' values.

    Args:
        config: as ``load_config`` returns it, with ``model.generator`` or
            ``model.student``. The teacher of a distillation is included if its
            checkpoint exists.
        checkpoint: load the networks from this file instead.
        lr_size: side of LR; default: that of the config's datasets.
        num_atoms: atoms per component and level if the dictionary's file is missing.

    Raises:
        ValueError: the config has no network, or is not valid.
        FileNotFoundError: the checkpoint does not exist.
    """
    model = plain(config.get('model') or {})
    key = next((key for key in ('generator', 'student') if key in model), None)
    if key is None:
        raise ValueError(
            f'{config.filename}: expected model.generator or model.student, found '
            f'{", ".join(model) or "no model"}. Use a training config, such as those '
            'in configs/.')
    lr_size = lr_size or lr_size_of(config)
    name = next((name for name in reported_names(model.get('test_cfg'), key)
                 if name != BICUBIC), key)
    if checkpoint is not None:
        return subjects_of_checkpoint(checkpoint, lr_size, name)
    settings, notes = _without_files(model[key], num_atoms)
    with weights_follow():
        network = build_backbone(settings)
    subjects = [Subject(name, network, lr_size or _lr_size_of_network(network), notes)]
    if key == 'student':
        _add_teacher(subjects, model.get('teacher'))
    return subjects


def subjects_of_checkpoint(path: str | Path, lr_size: int | None = None,
                           name: str | None = None) -> list[Subject]:
    """Loads the default network of a self-describing file, and its teacher.

    Args:
        path: the file.
        lr_size: side of LR; default: the network's, or ``PAPER_LR_SIZE``.
        name: name of the default network in tables; default: that in the file.

    Raises:
        FileNotFoundError: the file, or an external one, does not exist.
        CheckpointMismatch: the file is not self-describing, or not valid.
    """
    facts, _ = read_checkpoint(path)
    network = load_backbone(path)
    subjects = [Subject(name or facts['default'], network,
                        lr_size or _lr_size_of_network(network))]
    if 'teacher' in facts['backbones'] and facts['default'] != 'teacher':
        _add_teacher(subjects, dict(checkpoint=str(path), name='teacher'))
    return subjects


def profile_subjects(subjects: Sequence[Subject], config: Config | None = None,
                     batch_sizes: Sequence[int] = (1, 8), device: str = 'cpu',
                     warmup: int = 1, repeats: int = 5, landmarks: bool = True
                     ) -> tuple[dict[str, Profile], list[str]]:
    """Profiles several networks.

    Args:
        subjects: the networks.
        config: a config with test faces for the landmark detector, if available.
        batch_sizes, device, warmup, repeats: as for ``profile_backbone``.
        landmarks: measure the landmark detector for networks that use boxes.

    Returns:
        {name: profile} and the subjects' notes.
    """
    profiles, notes = {}, []
    for one in subjects:
        detection = None
        if landmarks and one.network.uses_boxes:
            detection = usual_detection_part(
                one.lr_size, sr_size_of(one.network, one.lr_size), config, warmup,
                repeats)
        profiles[one.name] = profile_backbone(
            one.network, one.lr_size, batch_sizes, device=device, warmup=warmup,
            repeats=repeats, detection=detection)
        notes += [f'{one.name}: {note}' for note in one.notes]
    return profiles, notes


def lr_size_of(config: Config) -> int | None:
    """Returns the side of LR of the config's datasets; None if it is not defined."""
    for dataset in datasets_of(config):
        scales = [step['scale'] for step in dataset.get('pipeline') or []
                  if isinstance(step, dict) and 'scale' in step]
        if 'size' in dataset and scales:
            return dataset['size'] // scales[0]
    return None


def _lr_size_of_network(network: nn.Module) -> int:
    return network.size // network.scale if network.size else PAPER_LR_SIZE


def _add_teacher(subjects: list[Subject], teacher: Any) -> None:
    """Appends a distillation's teacher, or adds a note that it is left out."""
    settings = {'checkpoint': teacher} if isinstance(teacher, str) else teacher or {}
    student, checkpoint = subjects[0], settings.get('checkpoint')
    if not checkpoint:
        student.notes.append('the config names no checkpoint of a teacher')
        return
    try:
        network = load_backbone(checkpoint, settings.get('name'))
    except FileNotFoundError as error:
        student.notes.append(
            f'the teacher is left out: {error} Its own config can be profiled.')
        return
    subjects.append(Subject('teacher', network, student.lr_size))


def _without_files(settings: dict[str, Any],
                   num_atoms: int) -> tuple[dict[str, Any], list[str]]:
    """Returns a backbone's config without files, and notes on their replacements."""
    if not _is_a(settings.get('type'), EncoderDecoder):
        return settings, []
    encoder = dict(settings.get('encoder') or {})
    if _is_a(encoder.get('type', FeatureEncoder), FeatureEncoder):
        encoder.update(pretrained=None, sha256=None)
    settings = {**settings, 'encoder': encoder}
    dictionary = dict(settings.get('dictionary') or {})
    file = dictionary.pop('file', None)
    if file is None:
        return settings, []
    if Path(file).expanduser().is_file():
        atoms = read_dictionary(Path(file).expanduser())['atoms']
        dictionary['num_atoms'] = {
            name: [len(level) for level in levels] for name, levels in atoms.items()}
        notes = [f'as many atoms as {file} has, without their values']
    else:
        dictionary['num_atoms'] = num_atoms
        notes = [f'there is no dictionary at {file}: {num_atoms} atoms per component '
                 'and level replace it (--num-atoms)']
    return {**settings, 'dictionary': dictionary}, notes


def _is_a(kind: Any, base: type) -> bool:
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(found, type) and issubclass(found, base)
