"""What the evaluator gets of a batch."""

from typing import Any, Dict, List

import torch
from mmagic.structures import DataSample
from torch import nn

from fdsr.models.backbones.bicubic import Bicubic
from fdsr.models.forward import run_backbone
from fdsr.models.pictures import to_uint8


@torch.no_grad()
def predict(networks: Dict[str, nn.Module],
            data: Dict[str, Any]) -> List[DataSample]:
    """What every model makes of a batch.

    Args:
        networks: backbones by the name that they are reported under.
        data: as ``FacePreprocessor`` returns it.

    Returns:
        A sample each with its name, ``gt_img`` and ``input`` (uint8 RGB), and
        ``predictions``, uint8 (3, H, W) RGB by model.
    """
    lr, samples = data['inputs'], data['data_samples']
    outputs = {
        name: to_uint8(run_backbone(network, lr, samples)).cpu()
        for name, network in networks.items()
    }
    gt, inputs = to_uint8(samples.gt_img).cpu(), to_uint8(lr).cpu()
    results = []
    for index, name in enumerate(samples.metainfo['name']):
        sample = DataSample(metainfo=dict(name=name))
        sample.gt_img, sample.input = gt[index], inputs[index]
        sample.predictions = {model: sr[index] for model, sr in outputs.items()}
        results.append(sample)
    return results


def with_bicubic(networks: Dict[str, nn.Module], data: Dict[str, Any],
                 wanted: bool) -> Dict[str, nn.Module]:
    """Puts plain bicubic up-sampling before the networks, if it is wanted."""
    if not wanted:
        return networks
    scale = data['data_samples'].gt_img.shape[-1] // data['inputs'].shape[-1]
    return {'bicubic': Bicubic(scale), **networks}
