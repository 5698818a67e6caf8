"""Base class of metrics that compare one SR image with one GT image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor


class PairMetric(BaseMetric):
    """A metric with one number per pair of GT and SR.

    Subclasses implement ``process_batch`` and declare ``metric``, ``higher_is_better``
    and ``digits``, see `fdsr.evaluation.metric_info`. `FaceEvaluator` calls
    ``process_batch``. `process_image` and `process` are the interface of mmagic's
    sample-wise metrics.
    """

    #: Name of the metric; an instance may append a variant, '-vgg16', for its column.
    metric = ''

    def process_batch(self, gt: Tensor, pred: Tensor) -> list[float]:
        """Returns one number per pair of two (B, 3, H, W) uint8 RGB batches."""
        raise NotImplementedError

    def check_batch(self, gt: Tensor, pred: Tensor) -> None:
        """Checks that both batches are uint8 and have the same shape.

        Raises:
            ValueError: The shapes differ or the type is not uint8.
        """
        if gt.shape != pred.shape or {gt.dtype, pred.dtype} != {torch.uint8}:
            raise ValueError(
                f'{type(self).__name__}: expected two uint8 batches (B, 3, H, W) of '
                f'the same shape, found {tuple(gt.shape)} {gt.dtype} and '
                f'{tuple(pred.shape)} {pred.dtype}.')

    def process_image(
        self, gt: Tensor | np.ndarray, pred: Tensor | np.ndarray, mask: Any = None,
    ) -> float:
        """Returns the number of one pair of (3, H, W) uint8 RGB images."""
        gt, pred = (  # copies arrays, because those of PIL are read-only
            image if isinstance(image, Tensor) else torch.tensor(image)
            for image in (gt, pred))
        return self.process_batch(gt[None], pred[None])[0]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measures results in the layout of mmagic's models, one by one."""
        for sample in data_samples:
            value = self.process_image(
                sample['gt_img'], sample['output']['pred_img'])
            self.results.append({self.metric: value})

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Returns the mean of the results of `process`."""
        values = [result[self.metric] for result in results]
        return {self.metric: float(np.mean(values))}
