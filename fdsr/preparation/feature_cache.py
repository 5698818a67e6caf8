"""Computes the features of frozen networks for a training set."""

import time
from pathlib import Path
from typing import Any, Callable, Sequence

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fdsr.models.autocast import bf16_autocast
from fdsr.models.feature_cache.features import (
    ENCODED,
    PERCEPTUAL,
    TEACHER,
    encoder_facts,
    perceptual_facts,
)
from fdsr.models.feature_cache.store import FeatureWriter
from fdsr.models.forward import run_backbone
from fdsr.models.taps import FeatureTaps
from fdsr.registry import DATASETS, FUNCTIONS, MODELS

Batch = dict[str, Any]


def freeze_student_features(config: Config, out: str | Path,
                            report: Callable[[str], None] = print) -> None:
    """Writes the frozen encoder's maps of LR and the perceptual features of GT.

    Args:
        config: training config of a restorer or distiller whose student has a frozen
            encoder. Without a perceptual loss, only the encoder's maps are written.
        out: folder of the store.
        report: called with progress messages.

    Raises:
        ValueError: the encoder is trained, so its features change.
    """
    model = config.model
    network = MODELS.build(model.get('generator') or model.student).eval()
    facts = dict(encoder=encoder_facts(network))
    perceptual = model.get('perceptual_loss')
    perceptual = None if perceptual is None else MODELS.build(perceptual)

    def features(batch: Batch) -> dict[str, Tensor]:
        maps = network.encode(batch['inputs'])
        found = {f'{ENCODED}{level}': feature for level, feature in enumerate(maps)}
        if perceptual is not None:
            layers = perceptual.trunk(batch['data_samples'].gt_img)
            found.update({f'{PERCEPTUAL}{layer}': layers[layer] for layer in layers})
        return found

    if perceptual is not None:
        facts['perceptual'] = perceptual_facts(perceptual)
    _write(config, features, facts, out, report)


def freeze_teacher_features(teacher: nn.Module, taps: Sequence[str], config: Config,
                            out: str | Path,
                            report: Callable[[str], None] = print) -> None:
    """Writes a teacher's features, so that distillation does not run the teacher.

    Args:
        teacher: frozen network, as ``build_teacher`` returns it.
        taps: taps of the features, e.g. ``decoder.to_rgb:input``.
        config: config with the training set.
        out: folder of the store.
        report: called with progress messages.
    """
    def features(batch: Batch) -> dict[str, Tensor]:
        with FeatureTaps(teacher, taps) as tapped:
            run_backbone(teacher, batch['inputs'], batch['data_samples'])
        return {f'{TEACHER}{number}': tapped[tap] for number, tap in enumerate(taps)}

    facts = dict(teacher=teacher.weights_sha256, taps=list(taps))
    _write(config, features, facts, out, report)


@torch.no_grad()
def _write(config: Config, features: Callable[[Batch], dict[str, Tensor]],
           facts: dict[str, Any], out: str | Path,
           report: Callable[[str], None]) -> None:
    settings = config.train_dataloader
    preprocess = MODELS.build(dict(type='fdsr.FacePreprocessor'))
    writer: FeatureWriter | None = None
    started, done = time.monotonic(), 0
    for mirrored in (False, True):
        # every face is mirrored, or none
        pipeline = [dict(step, prob=float(mirrored))
                    if step['type'].rpartition('.')[2] == 'FlipFace' else dict(step)
                    for step in settings.dataset.pipeline]
        dataset = DATASETS.build(dict(settings.dataset, pipeline=pipeline))
        _check_repeats(dataset.pipeline)
        if writer is None:
            names = [dataset.sample_name(index) for index in range(len(dataset))]
            rows = {name: row for row, name in enumerate(names)}
            writer = FeatureWriter(out, names)
            facts = dict(facts, degradation='; '.join(dataset.pipeline_protocol()))
        loader = DataLoader(
            dataset, settings.batch_size, num_workers=1,
            collate_fn=FUNCTIONS.get('fdsr.collate_samples'))
        for batch in loader:
            if not len(batch['inputs']):
                continue
            batch = preprocess(batch)
            with bf16_autocast('cpu'):
                found = features(batch)
            names_here: list[str] = batch['data_samples'].metainfo['name']
            writer.write([2 * rows[name] + int(mirrored) for name in names_here], found,
                         batch['data_samples'].gt_img, batch['inputs'])
            done += len(names_here)
            if done % (50 * settings.batch_size) < settings.batch_size:
                share = done / (2 * len(rows))
                left = (time.monotonic() - started) * (1 / share - 1)
                report(f'{done} of {2 * len(rows)} images, about {left / 60:.0f} min '
                       'left')
    writer.finish(facts)


def _check_repeats(pipeline: Sequence[Any]) -> None:
    """Raises ValueError if the LR of a face differs between epochs."""
    for step in pipeline:
        if getattr(step, 'varies', False):
            raise ValueError(
                f'{type(step).__name__} generates another LR of a face in each epoch, '
                'so its features cannot be stored. Give BlindDegradation a seed, or '
                'train without frozen features.')
