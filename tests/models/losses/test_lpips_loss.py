"""LPIPS as a loss: the package's own value, its gradient, and windows."""

import pytest
import torch

from fdsr.models.losses import LPIPSLoss
from fdsr.models.lpips import build_lpips

pytest.importorskip('lpips')


@pytest.fixture(scope='module')
def loss():
    try:
        return LPIPSLoss(loss_weight=0.5, window=32)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def images():
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(2, 3, 64, 64, generator=generator) for _ in range(2))


def test_the_whole_image_gives_the_value_of_the_package(loss):
    sr, gt = images()
    network, _, _ = build_lpips('vgg16')
    with torch.no_grad():
        expected = 0.5 * network(sr, gt, normalize=True).mean()
        torch.testing.assert_close(loss.eval()(sr, gt), expected)


def test_training_compares_a_window_of_each_image(loss):
    sr, gt = images()
    sr.requires_grad_()
    loss.train()(sr, gt).backward()
    for gradient in sr.grad:
        rows, columns = (gradient.abs().sum(0) > 0).nonzero().T
        assert rows.max() - rows.min() < 32 and columns.max() - columns.min() < 32
    first, second = (image.abs().sum(0).nonzero()[0].tolist() for image in sr.grad)
    assert first != second, 'each image has a window of its own'


def test_dropout_stays_off_and_the_network_frozen(loss):
    sr, gt = images()
    loss.train()
    torch.manual_seed(3)
    value = loss(sr, gt)
    torch.manual_seed(3)
    assert loss(sr, gt) == value
    assert not loss.network.training
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_a_small_window_is_refused():
    with pytest.raises(ValueError, match='at least 32'):
        LPIPSLoss(window=16)
