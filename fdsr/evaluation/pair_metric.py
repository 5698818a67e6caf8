"""What metrics of pairs of images share."""

from typing import Any, Dict, List, Sequence, Union

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor


class PairMetric(BaseMetric):
    """A number for each pair of GT and SR; subclasses have ``process_batch``.

    `FaceEvaluator` calls that. `process_image`, and `process` for mmagic's layout of
    results, are the interface of mmagic's sample-wise metrics.
    """

    #: The name, and the column.
    metric = ''

    def process_batch(self, gt: Tensor, pred: Tensor) -> List[float]:
        """Returns one number a pair of two (B, 3, H, W) uint8 RGB batches."""
        raise NotImplementedError

    def check_batch(self, gt: Tensor, pred: Tensor) -> None:
        """Sees to it that the two are what ``process_batch`` takes.

        Raises:
            ValueError: the shapes differ, or the type is not uint8.
        """
        if gt.shape != pred.shape or {gt.dtype, pred.dtype} != {torch.uint8}:
            raise ValueError(
                f'{type(self).__name__}: expected two uint8 batches (B, 3, H, W) of '
                f'one shape, found {tuple(gt.shape)} {gt.dtype} and '
                f'{tuple(pred.shape)} {pred.dtype}.')

    def process_image(
        self, gt: Union[Tensor, np.ndarray], pred: Union[Tensor, np.ndarray],
        mask: Any = None,
    ) -> float:
        """Returns the number of one pair of (3, H, W) uint8 RGB images."""
        gt, pred = (  # arrays are copied: PIL's may not be written to
            image if isinstance(image, Tensor) else torch.tensor(image)
            for image in (gt, pred))
        return self.process_batch(gt[None], pred[None])[0]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Takes results laid out as mmagic's models return them, one by one."""
        for sample in data_samples:
            value = self.process_image(
                sample['gt_img'], sample['output']['pred_img'])
            self.results.append({self.metric: value})

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Returns the mean over the results of `process`."""
        values = [result[self.metric] for result in results]
        return {self.metric: float(np.mean(values))}
