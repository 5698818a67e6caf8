"""The bicubic baseline against PIL."""

import numpy as np
import pytest
import torch
from PIL import Image

from fdsr.models.backbones import Bicubic


@pytest.mark.parametrize('scale', [2, 4, 8])
def test_equals_pil_on_8_bit_pictures(scale):
    generator = np.random.default_rng(scale)
    lr = generator.integers(0, 256, (16, 12, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(lr).resize(
        (12 * scale, 16 * scale), Image.BICUBIC)).astype(int)
    tensor = torch.from_numpy(lr).permute(2, 0, 1)[None].float() / 255
    ours = (Bicubic(scale)(tensor)[0].permute(1, 2, 0) * 255).round().int().numpy()
    np.testing.assert_array_equal(ours, theirs)


def test_has_no_parameters_and_no_boxes():
    net = Bicubic(8)
    assert not list(net.parameters()) and not net.uses_boxes
