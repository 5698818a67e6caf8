"""Running backbones on a batch, and what the evaluator gets of it."""

from typing import Any, Dict, List, Optional

import torch
from mmagic.structures import DataSample
from mmengine.config import ConfigDict
from torch import Tensor, nn

from fdsr.models.backbones.bicubic import Bicubic
from fdsr.models.pictures import to_uint8


def run_backbone(network: nn.Module, lr: Tensor, samples: DataSample,
                 encoded: Optional[List[Tensor]] = None) -> Tensor:
    """Runs any backbone, with the boxes if it asks for them.

    Args:
        network: a backbone, bare or in a distributed wrapper.
        lr: (B, 3, h, w) RGB in [0, 1].
        samples: stacked; ``boxes`` (B, 4, 4) if the backbone uses them.
        encoded: the encoder's maps, for backbones that take them.

    Returns:
        (B, 3, H, W) RGB, not clamped.
    """
    arguments = [lr]
    if takes_boxes(network):
        arguments.append(boxes_of(network, samples))
    return network(*arguments) if encoded is None else network(
        *arguments, encoded=encoded)


def takes_boxes(network: nn.Module) -> bool:
    """Whether a backbone, bare or wrapped, is called with boxes."""
    return getattr(getattr(network, 'module', network), 'uses_boxes', False)


def boxes_of(network: nn.Module, samples: DataSample) -> Tensor:
    """The batch's boxes (B, 4, 4).

    Raises:
        ValueError: the data set's pipeline makes none.
    """
    boxes = samples.get('boxes')
    if boxes is None:
        raise ValueError(
            f'{type(network).__name__} needs component boxes, but the samples have '
            "none: put dict(type='fdsr.ComponentBoxes') into the data set's pipeline "
            "and data_keys=['boxes'] into mmagic.PackInputs.")
    return boxes


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


def plain(config: Any) -> Any:
    """A config as plain dicts, lists and values, as checkpoints keep it."""
    if isinstance(config, ConfigDict):
        config = config.to_dict()
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    return config
