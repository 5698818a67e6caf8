"""A tiny network to publish."""

import pytest
import torch

from fdsr.models.files.checkpoints import save_backbone
from fdsr.registry import MODELS

CONFIG = dict(type='fdsr.RCAN', scale=2, channels=4, groups=1, blocks=1, reduction=2)


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """The network's file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('source') / 'tiny.safetensors'
    save_backbone(MODELS.build(CONFIG), CONFIG, path)
    return path
