"""Untrained restorers and networks of a case, on the device and without any file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from benchmarks.gpu_check.cases import Case
from fdsr.datasets.base import collate_samples
from fdsr.engine.config import load_config
from fdsr.geometry.components import FFHQ_EYE_SHARE
from fdsr.models.backbones import DictionaryTeacher
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from fdsr.models.files.checkpoints import save_backbone
from fdsr.registry import DATASETS, MODELS
from fdsr.utils.configs import plain
from fdsr.weights import weights_follow


def config_of(case: Case, folder: Path) -> Config:
    """Reads a case's config, with its options and the path of its teacher.

    Args:
        case: the case.
        folder: for what has to be written: the untrained teacher's checkpoint.
    """
    options = dict(case.options)
    if case.teacher is not None:
        path = folder / f'{case.name}_teacher.pth'
        _save_teacher(case.teacher, path, folder)
        options['model.teacher.checkpoint'] = str(path)
    config = load_config(case.config, work_dir=str(folder), cfg_options=options)
    if case.batch_size is not None:
        config.train_dataloader.batch_size = case.batch_size
    return config


def _save_teacher(case: Case, path: Path, folder: Path) -> None:
    generator = plain(config_of(case, folder).model.generator)
    with weights_follow():
        save_backbone(MODELS.build(generator), generator, path)


def build_restorer(config: Config, num_atoms: int, device: str) -> nn.Module:
    """Builds a config's restorer, in training mode, with random values everywhere.

    Args:
        config: as ``config_of`` returns it.
        num_atoms: of each component and level of every dictionary in it.
        device: where it is to be.
    """
    torch.manual_seed(0)
    # the check announces random weights itself, once for all cases
    with weights_follow():
        model = MODELS.build(config.model)
    fill_dictionaries(model.to(device), num_atoms, device)
    if hasattr(model, 'iteration'):
        model.iteration = config.train_cfg.max_iters  # every scheduled loss is on
    return model.train()


def build_network(config: Config, device: str) -> nn.Module:
    """Builds the backbone that a config trains, in eval mode."""
    settings = config.model.get('generator') or config.model.student
    with weights_follow():
        return MODELS.build(settings).eval().to(device)


@torch.no_grad()
def fill_dictionaries(model: nn.Module, num_atoms: int, device: str) -> None:
    """Gives every teacher in a model a dictionary of random fp16 atoms.

    They are created on the device: the CPU takes ten seconds for 512 atoms, and a
    checkpoint with them would be 0.8 GB.
    """
    generator = torch.Generator(device).manual_seed(0)
    for teacher in list(model.modules()):
        if not isinstance(teacher, DictionaryTeacher):
            continue
        old = teacher.dictionary.spec
        spec = DictionarySpec.uniform(old.channels, old.sides, num_atoms, old.unbiased)
        with torch.device(device):
            teacher.dictionary = ComponentDictionary(spec, torch.float16)
        for component, level in spec.slots():
            teacher.dictionary.set_atoms(component, level, torch.randn(
                spec.atom_shape(component, level), generator=generator, device=device))


def drawn_batch(config: Config) -> dict[str, Any]:
    """Returns a batch of drawn faces, as the config's data loader would collate it."""
    loader = config.train_dataloader
    dataset = DATASETS.build(dict(
        type='fdsr.SyntheticFacesDataset', length=loader.batch_size,
        size=loader.dataset.size, eye_share=FFHQ_EYE_SHARE,
        pipeline=loader.dataset.pipeline))
    return collate_samples([dataset[index] for index in range(len(dataset))])


def modules_to_compile(model: nn.Module, patterns: tuple[str, ...]
                       ) -> list[tuple[str, nn.Module]]:
    """Returns the modules at given paths, where ``*`` stands for one segment.

    Raises:
        ValueError: a pattern matches no module.
    """
    found = []
    for pattern in patterns:
        matches = list(_matching(model, pattern.split('.')))
        if not matches:
            raise ValueError(
                f'{type(model).__name__} has no module {pattern} to compile: correct '
                'the paths in benchmarks/gpu_check/cases.py.')
        found += matches
    return found


def _matching(module: nn.Module, segments: list[str],
              path: str = '') -> Iterator[tuple[str, nn.Module]]:
    if not segments:
        yield path, module
        return
    for name, child in module.named_children():
        if segments[0] in ('*', name):
            yield from _matching(
                child, segments[1:], f'{path}.{name}' if path else name)
