"""ProgressiveFSR: parameters, steps, blending, errors."""

import pytest
import torch
from torch.nn import functional as F

from fdsr.models.backbones import ProgressiveFSR
from fdsr.models.files.checkpoints import load_backbone, save_backbone
from fdsr.models.forward import run_all_steps, run_backbone
from fdsr.models.losses import PixelLoss
from fdsr.models.losses.restoration import restoration_losses
from fdsr.models.resampling import downsample


def toy(**options):
    torch.manual_seed(0)
    return ProgressiveFSR(channels=16, **options).eval()


def test_the_parameter_count_is_the_papers():
    count = sum(value.numel() for value in ProgressiveFSR().parameters())
    assert round(count / 1e6, 2) == 8.97


@pytest.mark.parametrize('scale', [2, 4, 8])
def test_each_step_doubles_the_size_and_receives_gradients(scale):
    net = toy(scale=scale).train()
    images = net(torch.rand(2, 3, 5, 7), all_steps=True)
    assert [image.shape[-2:] for image in images] == [
        (5 * 2**step, 7 * 2**step) for step in range(1, net.num_steps + 1)]
    sum(image.square().mean() for image in images).backward()
    assert all(value.grad is not None for value in net.parameters())


def test_alpha_blends_with_the_enlarged_image_of_the_step_before():
    net, lr = toy(), torch.rand(1, 3, 4, 4)
    with torch.no_grad():
        _, before, last = net.forward_steps(lr)
        enlarged = F.interpolate(before, scale_factor=2, mode='nearest')
        for alpha in (0.0, 0.3, 1.0):
            net.set_progress(3, alpha)
            torch.testing.assert_close(net(lr), (1 - alpha) * enlarged + alpha * last)
        net.set_progress(2, 0.0)
        first, blended = net.forward_steps(lr)
        torch.testing.assert_close(
            blended, F.interpolate(first, scale_factor=2, mode='nearest'))


@pytest.mark.parametrize('step, alpha', [(1, 1.0), (2, 0.25), (2, 1.0), (3, 0.5)])
def test_training_runs_only_the_layers_of_its_image(step, alpha):
    net, lr = toy().train(), torch.rand(2, 3, 4, 4)
    net.set_progress(step, alpha)
    image = net(lr, unfinished=True)
    torch.testing.assert_close(image, net(lr, all_steps=True)[-1])
    image.mean().backward()
    used = {step - 1} | ({step - 2} if alpha < 1 else set())
    for number, to_rgb in enumerate(net.to_rgb):
        assert (to_rgb.weight.grad is not None) == (number in used)
    # with a distributed wrapper, no other output may depend on the unused layers


def test_the_first_step_has_nothing_to_blend_with():
    net, lr = toy(), torch.rand(1, 3, 4, 4)
    with torch.no_grad():
        first = net.forward_steps(lr)[0]
        net.set_progress(1, 0.5)
        assert torch.equal(net.forward_steps(lr)[0], first)


def test_unused_layers_do_not_run():
    net = toy().train()
    net.set_progress(2, 0.5)
    net.forward_steps(torch.rand(2, 3, 4, 4))[-1].mean().backward()
    for name, value in net.named_parameters():
        unused = name.startswith(('steps.2', 'to_rgb.2'))
        assert (value.grad is None) == unused, name


@pytest.mark.parametrize('options, message', [
    (dict(scale=6), 'power of two'),
    (dict(channels=20), 'multiple of scale=8, found 20'),
    (dict(step=0), 'step: expected an integer from 1 to 3, found 0'),
    (dict(step=4), 'found 4'),
    (dict(step=2.0), r'found 2\.0'),
    (dict(alpha=-0.1), r'alpha: expected a number in \[0, 1\], found -0\.1'),
    (dict(alpha=1.01), r'found 1\.01'),
    (dict(alpha=float('nan')), 'found nan'),
    (dict(alpha=None), 'found None')])
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ProgressiveFSR(**{'channels': 16, **options})


def test_a_checkpoint_of_an_earlier_step_is_not_taken_for_a_finished_one(tmp_path):
    net, config = toy(step=2), dict(type='fdsr.ProgressiveFSR', channels=16, step=2)
    save_backbone(net, config, tmp_path / 'net.pth')
    loaded, lr = load_backbone(tmp_path / 'net.pth'), torch.rand(1, 3, 4, 4)
    message = 'at step 2 of 3: its image is ×4, expected ×8. Use a checkpoint of the'
    with pytest.raises(ValueError, match=message):
        loaded(lr)
    with pytest.raises(ValueError, match=message):
        run_backbone(loaded, lr, {})
    with torch.no_grad():
        assert torch.equal(loaded.forward_steps(lr)[1], toy().forward_steps(lr)[1])


def test_the_pixel_loss_compares_each_step_with_gt_of_its_size():
    net, gt, lr = toy(), torch.rand(1, 3, 32, 32), torch.rand(1, 3, 4, 4)
    loss = PixelLoss('mse')
    outputs = run_all_steps(net, lr, {})
    found = restoration_losses(outputs, gt, loss, None)['loss_pixel']
    expected = sum(loss(output, downsample(gt, output.shape[-1])) for output in outputs)
    assert torch.equal(found, expected)
    with pytest.raises(ValueError, match='the backbone and the data the same'):
        restoration_losses(outputs, torch.rand(1, 3, 64, 64), loss, None)


def test_gt_is_downsampled_as_pil_does():
    import numpy as np
    from PIL import Image
    plane = torch.rand(32, 32)
    found = downsample(plane[None, None], 8)[0, 0]
    expected = Image.fromarray(plane.numpy()).resize((8, 8), Image.BICUBIC)
    np.testing.assert_allclose(found.numpy(), np.asarray(expected), atol=1e-6)
