"""Predictions for the evaluator, and the choice of the networks that are tested."""

from typing import Any, Mapping

import torch
from mmagic.structures import DataSample
from torch import nn

from fdsr.models.backbones.bicubic import Bicubic
from fdsr.models.forward import run_backbone
from fdsr.models.images import to_uint8

BICUBIC = 'bicubic'


def reported_names(test_cfg: Mapping[str, Any] | None, default: str) -> tuple[str, ...]:
    """Returns ``test_cfg['report']``, the names of what a test reports.

    Args:
        test_cfg: ``dict(report=[NAME, ...])``; ``bicubic`` stands for bicubic
            upsampling.
        default: the only name if ``test_cfg`` does not set any.

    Raises:
        ValueError: unknown key, or no list of names.
    """
    settings = dict(test_cfg or {})
    report = settings.pop('report', [default])
    if settings or isinstance(report, str) or not report:
        raise ValueError(
            f"test_cfg: expected dict(report=['{BICUBIC}', '{default}']) or fewer "
            f'names, found {dict(test_cfg)}.')
    return tuple(report)


def select_networks(report: tuple[str, ...],
                    networks: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Returns the reported networks by name, without bicubic upsampling.

    Raises:
        ValueError: a name is neither ``bicubic`` nor one of the networks.
    """
    unknown = [name for name in report if name not in (*networks, BICUBIC)]
    if unknown:
        raise ValueError(
            f'test_cfg.report: unknown name {", ".join(map(repr, unknown))}; expected '
            f'{", ".join((*networks, BICUBIC))}.')
    return {name: networks[name] for name in report if name != BICUBIC}


@torch.no_grad()
def predict(networks: Mapping[str, nn.Module], data: Mapping[str, Any],
            bicubic: bool = False) -> list[DataSample]:
    """Runs networks on a batch.

    Args:
        networks: backbones by the name under which they are reported.
        data: as returned by ``FacePreprocessor``.
        bicubic: report bicubic upsampling before the networks.

    Returns:
        One sample per image with its name, ``gt_img`` and ``input`` (uint8 RGB), and
        ``predictions``, uint8 (3, H, W) RGB by network.
    """
    lr, samples = data['inputs'], data['data_samples']
    if bicubic:
        scale = samples.gt_img.shape[-1] // lr.shape[-1]
        networks = {BICUBIC: Bicubic(scale), **networks}
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
