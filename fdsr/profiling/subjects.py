"""Networks to profile, out of configs and checkpoints; weights do not matter."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from mmengine.config import Config
from torch import nn

from fdsr.engine.config import datasets_of
from fdsr.models.backbones import EncoderDecoder
from fdsr.models.contract import build_backbone
from fdsr.models.dictionary.files import read_dictionary
from fdsr.models.files.checkpoints import load_backbone, read_checkpoint
from fdsr.models.restorers.prediction import BICUBIC, reported_names
from fdsr.profiling.detection import usual_detection_part
from fdsr.profiling.profile import Profile, profile_backbone, sr_size_of
from fdsr.registry import MODELS
from fdsr.utils.configs import plain
from fdsr.weights import weights_follow

#: The paper's, where neither config nor network tells.
PAPER_LR_SIZE = 32


@dataclass
class Subject:
    """A network to profile.

    Args:
        name: that it goes by in tables.
        network: the backbone.
        lr_size: side of its LR pictures.
        notes: what is not as in the real one.
    """

    name: str
    network: nn.Module
    lr_size: int
    notes: List[str] = field(default_factory=list)


def subjects_of_config(config: Config, checkpoint: Optional[str] = None,
                       lr_size: Optional[int] = None,
                       num_atoms: int = 512) -> List[Subject]:
    """The networks that a training's config describes.

    Without a checkpoint they are built without trained values, and need no file:
    neither VGG's weights nor the dictionary, whose number of atoms is read from its
    file if that is there. Matching takes as long for atoms that are all zero.

    Args:
        config: as ``load_config`` returns it, with ``model.generator`` or
            ``model.student``; the teacher of a distillation comes along if its
            checkpoint is there.
        checkpoint: take the networks from this file instead.
        lr_size: side of LR; default: what the config's data sets have.
        num_atoms: of each component and level, where the dictionary's file is
            missing.

    Raises:
        ValueError: the config has no such network, or does not fit.
        FileNotFoundError: the checkpoint is not there.
    """
    model = plain(config.get('model') or {})
    key = next((key for key in ('generator', 'student') if key in model), None)
    if key is None:
        raise ValueError(
            f'{config.filename}: expected model.generator or model.student, found '
            f'{", ".join(model) or "no model"}. Give a training config, as those in '
            'configs/.')
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


def subjects_of_checkpoint(path: Union[str, Path], lr_size: Optional[int] = None,
                           name: Optional[str] = None) -> List[Subject]:
    """The networks that a self-describing file holds: its default, and its teacher.

    Args:
        path: of the file.
        lr_size: side of LR; default: the teacher's own, or ``PAPER_LR_SIZE``.
        name: of the first in tables; default: as in the file.

    Raises:
        FileNotFoundError: the file, or one that it refers to, is not there.
        CheckpointMismatch: it does not describe itself, or does not fit.
    """
    facts, _ = read_checkpoint(path)
    network = load_backbone(path)
    subjects = [Subject(name or facts['default'], network,
                        lr_size or _lr_size_of_network(network))]
    if 'teacher' in facts['backbones'] and facts['default'] != 'teacher':
        _add_teacher(subjects, dict(checkpoint=str(path), name='teacher'))
    return subjects


def profile_subjects(subjects: Sequence[Subject], config: Optional[Config] = None,
                     batch_sizes: Sequence[int] = (1, 8), device: str = 'cpu',
                     warmup: int = 1, repeats: int = 5, landmarks: bool = True
                     ) -> Tuple[Dict[str, Profile], List[str]]:
    """Profiles networks, one after the other.

    Args:
        subjects: the networks.
        config: whose test faces the landmark detector is timed on, if they are there.
        batch_sizes, device, warmup, repeats: as for ``profile_backbone``.
        landmarks: time fdsr's landmark detector for networks that use boxes.

    Returns:
        {name: profile}, and the subjects' notes.
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


def lr_size_of(config: Config) -> Optional[int]:
    """Side of LR that the config's data sets make; None if they do not tell."""
    for dataset in datasets_of(config):
        scales = [step['scale'] for step in dataset.get('pipeline') or []
                  if isinstance(step, dict) and 'scale' in step]
        if 'size' in dataset and scales:
            return dataset['size'] // scales[0]
    return None


def _lr_size_of_network(network: nn.Module) -> int:
    return network.size // network.scale if network.size else PAPER_LR_SIZE


def _add_teacher(subjects: List[Subject], teacher: Any) -> None:
    """Appends a distillation's teacher, or says at the student why it cannot."""
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


def _without_files(settings: Dict[str, Any],
                   num_atoms: int) -> Tuple[Dict[str, Any], List[str]]:
    """A backbone's config that needs no file, and what was put in place of them."""
    kind = settings.get('type')
    network = MODELS.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(network, type) and issubclass(network, EncoderDecoder)):
        return settings, []
    encoder = {**(settings.get('encoder') or {}), 'pretrained': None, 'sha256': None}
    settings = {**settings, 'encoder': encoder}
    dictionary = dict(settings.get('dictionary') or {})
    file = dictionary.pop('file', None)
    if file is None:
        return settings, []
    if Path(file).expanduser().is_file():
        dictionary['num_atoms'] = _atom_counts(Path(file).expanduser())
        notes = [f'as many atoms as {file} has, their values left out']
    else:
        dictionary['num_atoms'] = num_atoms
        notes = [f'there is no dictionary at {file}: {num_atoms} atoms a component '
                 'and level, without values, stand in for it (--num-atoms)']
    return {**settings, 'dictionary': dictionary}, notes


def _atom_counts(path: Path) -> Dict[str, List[int]]:
    return {name: [len(atoms) for atoms in levels]
            for name, levels in read_dictionary(path)['atoms'].items()}
