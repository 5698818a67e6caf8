"""Accuracy and cost of a landmark network next to its teacher."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from fdsr.evaluation.landmark_error import (
    eye_distances,
    five_points,
    normalized_errors,
)
from fdsr.models.files.checkpoints import load_backbone
from fdsr.models.restorers.heatmap_teachers import points_of
from fdsr.models.restorers.teacher import build_teacher
from fdsr.profiling.detection import detection_part
from fdsr.profiling.profile import profile_backbone
from fdsr.registry import DATASETS
from fdsr.reporting.tables import markdown_table
from fdsr.utils.hardware import hardware

_BATCH = 8


@dataclass(frozen=True)
class LandmarkResult:
    """Accuracy and cost of one landmark network.

    Args:
        name: ``student`` or ``teacher``, with the class.
        nme_dataset: mean error to the dataset's five landmarks as a share of their eye
            distance; None if no face is found.
        nme_teacher: mean error to the teacher's landmarks; None for the teacher.
        num_faces: number of test faces.
        num_not_found: number of those without landmarks. They are left out of the
            errors, and so are faces that the teacher does not find.
        parameters: number of parameters; None if unknown.
        gmacs: 10^9 multiply-adds per image; None if unknown.
        ms: median time per image at batch size 1.
    """

    name: str
    nme_dataset: float | None
    nme_teacher: float | None
    num_faces: int
    num_not_found: int
    parameters: int | None
    gmacs: float | None
    ms: float


def evaluate_landmarks(config: Config, checkpoint: str, device: str = 'cpu',
                       warmup: int = 1, repeats: int = 5) -> list[LandmarkResult]:
    """Measures a trained landmark network and its teacher on the test faces.

    Args:
        config: config of a ``LandmarkDistiller``, with ``test_dataloader``.
        checkpoint: its checkpoint.
        device: device of both networks.
        warmup, repeats: untimed and timed calls.

    Returns:
        The results of the student and of the teacher.

    Raises:
        FileNotFoundError: the checkpoint, the data or the teacher's weights are
            missing.
        ValueError: the config does not train a landmark network, or its size is not
            that of the test faces.
    """
    if config.model.get('type', '').rpartition('.')[2] != 'LandmarkDistiller':
        raise ValueError(f'{config.filename}: expected a config of '
                         f'fdsr.LandmarkDistiller, found {config.model.get("type")}.')
    student = load_backbone(checkpoint, 'student').to(device)
    teacher = build_teacher(config.model.teacher.to_dict())[0].to(device)
    dataset = DATASETS.build(dict(config.test_dataloader.dataset, pipeline=[]))
    if student.size != dataset.size:
        raise ValueError(f'{checkpoint} was made for faces of {student.size} px, found '
                         f'test faces of {dataset.size} px.')
    known, images, found = [], [], dict(student=[], teacher=[])
    with torch.inference_mode():
        for batch in _batches(dataset):
            lr = torch.from_numpy(np.stack([item['img'] for item in batch]))
            lr = lr.permute(0, 3, 1, 2).float().div(255).to(device)
            known += [item['landmarks'] for item in batch]
            images += [item['img'] for item in batch][:_BATCH - len(images)]
            for name, network in dict(student=student, teacher=teacher).items():
                found[name] += points_of(network, lr).cpu().numpy().tolist()
    points = {name: np.array(values) for name, values in found.items()}
    return [
        _result(name, network, np.array(known), points, _cost(
            network, dataset.size, images, device, warmup, repeats))
        for name, network in dict(student=student, teacher=teacher).items()]


def _batches(dataset: Any) -> Iterator[list[dict]]:
    items = [item for item in map(dataset.__getitem__, range(len(dataset)))
             if item is not None]
    for start in range(0, len(items), _BATCH):
        yield items[start:start + _BATCH]


def _result(name: str, network: nn.Module, known: np.ndarray,
            points: dict[str, np.ndarray], cost: dict[str, Any]) -> LandmarkResult:
    own, teacher = points[name], points['teacher']
    # both are compared on the same faces
    both = np.isfinite(points['student']).all((1, 2)) & np.isfinite(teacher).all((1, 2))
    own_found = np.isfinite(own).all((1, 2))
    to_dataset = normalized_errors(
        five_points(own[both]), known[both], eye_distances(known[both]))
    to_teacher = normalized_errors(own[both], teacher[both],
                                   eye_distances(teacher[both]))
    errors = [float(values.mean()) if both.any() else None
              for values in (to_dataset, to_teacher)]
    return LandmarkResult(
        f'{name}: {type(network).__name__}', errors[0],
        None if name == 'teacher' else errors[1], len(known),
        int((~own_found).sum()), **cost)


def _cost(network: nn.Module, size: int, images: Sequence[np.ndarray], device: str,
          warmup: int, repeats: int) -> dict[str, Any]:
    if hasattr(network, 'detector'):  # not a network of torch
        part = detection_part(network.detector, images, warmup=warmup, repeats=repeats)
        return dict(parameters=None, gmacs=None, ms=part.ms)
    profile = profile_backbone(
        network, size, (1, ), device=device, warmup=warmup, repeats=repeats)
    return dict(parameters=profile.trained + profile.frozen, gmacs=profile.gmacs,
                ms=profile.latencies[0].median_ms)


def format_landmarks(results: Sequence[LandmarkResult]) -> str:
    """Formats the results as a Markdown table with notes."""
    def optional(value: float | None, form: str) -> str:
        return '–' if value is None else format(value, form)

    rows = [[one.name, optional(one.nme_dataset, '.2%'),
             optional(one.nme_teacher, '.2%'),
             f'{one.num_not_found} of {one.num_faces}',
             optional(one.parameters and one.parameters / 1e6, '.3f'),
             optional(one.gmacs, '.3f'), f'{one.ms:.1f}'] for one in results]
    header = ['Network', 'NME, 5 points ↓', 'NME to the teacher, 68 points ↓',
              'faces not found', 'parameters, M', 'GMACs', 'ms per image']
    machine = ', '.join(f'{key}: {value}' for key, value in hardware().items())
    return '\n'.join([
        markdown_table(header, rows), '',
        '- NME: mean distance as a share of the distance of the eye centres, over the '
        "faces that both find; the 5 points are the dataset's",
        '- ms: batch size 1, median; a detector includes its face detection',
        f'- {machine}'])


def to_plain(results: Sequence[LandmarkResult]) -> list[dict[str, Any]]:
    """Returns the results as values for JSON."""
    return [asdict(one) for one in results]
