"""The progressive restorer's heatmaps and its errors."""

import pytest
import torch
from mmagic.structures import DataSample

from fdsr.models.files.checkpoints import save_backbone
from fdsr.models.heatmaps import render_heatmaps
from fdsr.registry import MODELS

GENERATOR = dict(type='fdsr.ProgressiveFSR', channels=8)
ATTENTION = dict(type='fdsr.FacialAttentionLoss')


def restorer(**options):
    return MODELS.build(dict(type='fdsr.ProgressiveRestorer', generator=GENERATOR,
                             attention_loss=ATTENTION, **options))


def landmark_file(folder, size=64):
    config = dict(type='fdsr.HeatmapNet', size=size, channels=4, depth=1)
    save_backbone(MODELS.build(config), config, folder / 'landmarks.pth')
    return str(folder / 'landmarks.pth')


def samples(**data):
    return DataSample(gt_img=torch.rand(2, 3, 64, 64), **data)


def test_heatmaps_come_from_the_network(tmp_path):
    model, batch = restorer(landmarks=landmark_file(tmp_path)), samples()
    model.train()
    assert not model.landmarks.training
    heatmaps = model.heatmaps(batch)
    assert heatmaps.shape == (2, 68, 16, 16) and not heatmaps.requires_grad
    assert torch.equal(heatmaps, model.landmarks(batch.gt_img))


def test_or_from_the_landmarks_of_the_samples():
    points = 10 + 40 * torch.rand(2, 5, 2)
    found = restorer().heatmaps(samples(landmarks=points))
    assert torch.equal(found, render_heatmaps(points, 64, 16))


def test_samples_without_landmarks_are_refused():
    with pytest.raises(ValueError, match='the samples have none. Set model.landmarks'):
        restorer().heatmaps(samples())


def test_a_network_of_another_size_is_refused(tmp_path):
    model = restorer(landmarks=landmark_file(tmp_path, size=32))
    with pytest.raises(ValueError, match='made for faces of 32 px, found GT of 64 px'):
        model.heatmaps(samples())


def test_extra_losses_apply_to_the_current_step():
    extra = dict(copied=dict(type='fdsr.PixelLoss', kind='mse'))
    model = MODELS.build(dict(type='fdsr.ProgressiveRestorer', generator=GENERATOR,
                              pixel_loss=extra['copied'], extra_losses=extra))
    losses = model.losses(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16), samples())
    assert losses['loss_copied'] == losses['loss_pixel'] > 0


def test_frozen_features_are_refused():
    with pytest.raises(ValueError, match='Remove frozen_features'):
        restorer(frozen_features=['somewhere'])


def test_a_missing_network_is_named():
    with pytest.raises(FileNotFoundError, match='network nowhere.pth does not exist'):
        restorer(landmarks='nowhere.pth')


def test_other_backbones_are_refused():
    with pytest.raises(ValueError, match='Bicubic has no steps'):
        MODELS.build(dict(type='fdsr.ProgressiveRestorer',
                          generator=dict(type='fdsr.Bicubic', scale=8)))


@pytest.mark.parametrize('alpha', [-0.5, 1.5])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(ValueError, match=r'alpha: expected a number in \[0, 1\]'):
        restorer().set_progress(2, alpha)


def test_all_networks_have_the_same_progress():
    model = restorer(adversarial_loss=dict(type='fdsr.WassersteinLoss'),
                     discriminator=dict(channels=8))
    model.set_progress(2, 0.25)
    for network in (model.generator, model.discriminator):
        assert (network.step, network.alpha) == (2, 0.25)
    assert model.backbone_configs['generator'] == {**GENERATOR, 'step': 2,
                                                   'alpha': 0.25}
    assert list(model.trainable_groups()) == ['generator', 'discriminator']
    assert list(restorer().trainable_groups()) == ['generator']


def test_the_adversarial_loss_trains_the_network_only():
    model = restorer(adversarial_loss=dict(type='fdsr.WassersteinLoss'),
                     discriminator=dict(channels=8))
    sr = torch.rand(2, 3, 64, 64, requires_grad=True)
    batch = samples(landmarks=torch.full((2, 5, 2), 30.0))
    model.losses(sr, batch.gt_img, batch)['loss_adversarial'].backward()
    assert sr.grad.abs().sum() > 0
    assert all(value.grad is None and value.requires_grad
               for value in model.discriminator.parameters())
