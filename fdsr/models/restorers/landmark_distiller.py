"""Distillation of landmark heatmaps into a small network."""

from collections.abc import Sequence
from typing import Any

from mmagic.structures import DataSample
from torch import Tensor

from fdsr.models.restorers.feature_distiller import FeatureDistiller
from fdsr.registry import MODELS


@MODELS.register_module()
class LandmarkDistiller(FeatureDistiller):
    """A ``FeatureDistiller`` whose student learns from the teacher's heatmaps only.

    The batches are HR faces (``DownsampleToLR(scale=1)``); GT images take no part.
    ``tools/evaluate_landmarks.py`` measures the result, so the config has no
    validation.

    Args:
        student: config of a landmark network, such as ``HeatmapNet``.
        teacher: a network with the same number of heatmaps, such as ``FANHeatmaps`` or
            ``DetectorHeatmaps``; see ``teacher.build_teacher``.
        feature_losses: default: ``HeatmapLoss``.
        **kwargs: other arguments of ``FeatureDistiller``.

    Raises:
        ValueError: the heatmaps of student and teacher differ in number or size.
    """

    def __init__(self, student: dict, teacher: str | dict,
                 feature_losses: Sequence[dict] | None = None, **kwargs: Any) -> None:
        super().__init__(
            student, teacher, feature_losses or [dict(type='fdsr.HeatmapLoss')],
            **kwargs)
        # a model file must not build the teacher, see heatmap_teachers
        self.backbone_configs.pop('teacher')

    def supervised_losses(self, outputs: Sequence[Tensor], samples: DataSample
                          ) -> dict[str, Tensor]:
        """Returns no losses, because heatmaps are not compared with images."""
        return {}
