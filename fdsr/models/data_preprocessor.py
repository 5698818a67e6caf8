"""Conversion of uint8 images from the data loader to batches in [0, 1]."""

from typing import Any, Dict

import torch
from mmagic.structures import DataSample
from mmengine.model import BaseDataPreprocessor

from fdsr.registry import MODELS


@MODELS.register_module()
class FacePreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device, stacks it and scales images to [0, 1].

    Images stay RGB in training and in testing.
    """

    def forward(self, data: Dict[str, Any], training: bool = False) -> Dict[str, Any]:
        """Returns the batch.

        Args:
            data: ``inputs``, a list of uint8 (3, h, w) RGB, and ``data_samples``, a
                list of ``DataSample`` with ``gt_img`` uint8 (3, H, W) RGB, the name
                and optionally ``boxes`` (4, 4).
            training: unused.

        Returns:
            ``inputs`` (B, 3, h, w) float in [0, 1] and ``data_samples``, one stacked
            ``DataSample`` with ``gt_img`` (B, 3, H, W) in [0, 1]. Other data, such as
            ``boxes`` (B, 4, 4) and ``landmarks`` (B, 5, 2), are stacked;
            metadata, such as ``name``, become lists.

        Raises:
            RuntimeError: the batch is empty.
        """
        data = self.cast_data(data)
        inputs = torch.stack(list(data['inputs'])).float() / 255
        samples = DataSample.stack(data['data_samples'])
        samples.gt_img = samples.gt_img.float() / 255
        return dict(inputs=inputs, data_samples=samples)
