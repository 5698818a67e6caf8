"""Feature losses: formulas, and their use in the distiller."""

import pytest
import torch
import torch.nn.functional as F

from fdsr.models.losses import (
    AdversarialFeatureLoss,
    FeatureAffinityLoss,
    FeatureL1Loss,
)
from fdsr.models.restorers.per_tap import discriminator_step
from fdsr.models.taps import FeatureTaps
from tests import toy
from tests.models.restorers.test_distiller import batch, distiller, optimisers

REGULARISED = dict(normalize='channel', r1=1.0)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return toy.trained_teacher(tmp_path_factory.mktemp('teacher'))


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def prepared(model):
    data = model.data_preprocessor(batch(), True)
    return data['inputs'], data['data_samples']


def losses_of(model, lr, samples):
    encoded, theirs = model.distillation_targets(lr, samples)
    return model.student_losses(lr, samples, encoded, theirs)


def rotation(channels):
    return torch.linalg.qr(random(channels, channels, seed=9))[0]


def rotated(feature):
    return torch.einsum('ij,bjhw->bihw', rotation(feature.shape[1]), feature)


# Affinity

def test_affinity_is_the_cosine_of_every_two_positions():
    ours, theirs = random(2, 3, 4, 5), random(2, 6, 4, 5, seed=1)
    total = 0.0
    for sample in range(2):
        for one in range(20):
            for other in range(20):
                cosines = [F.cosine_similarity(f[sample].flatten(1)[:, one],
                                               f[sample].flatten(1)[:, other], dim=0)
                           for f in (ours, theirs)]
                total += (cosines[0] - cosines[1]).abs()
    torch.testing.assert_close(FeatureAffinityLoss()(ours, theirs), total / (2 * 400))


def test_affinity_is_invariant_to_the_basis():
    feature = random(2, 8, 10, 10)
    other = rotated(feature)
    assert float(FeatureAffinityLoss()(feature, other)) < 1e-5
    assert float(FeatureL1Loss()(feature, other)) > 0.1
    ours = feature.clone().requires_grad_()
    FeatureAffinityLoss()(ours, random(2, 8, 10, 10, seed=1)).backward()
    assert ours.grad.abs().sum() > 0


def test_large_maps_are_pooled_first():
    ours, theirs = random(1, 3, 64, 32), random(1, 3, 64, 32, seed=1)
    found = FeatureAffinityLoss(max_side=16)(ours, theirs)
    pooled = [F.avg_pool2d(feature, (4, 2)) for feature in (ours, theirs)]
    torch.testing.assert_close(found, FeatureAffinityLoss()(*pooled))


def test_affinity_takes_other_channels_without_a_connector(teacher):
    model = distiller(teacher, feature_losses=[dict(
        type='fdsr.FeatureAffinityLoss', student='decoder.stages.0:input',
        teacher='decoder.stages.0.conv:output')])
    assert len(model.connectors) == 0
    assert model.train().train_step(batch(), optimisers(model))['loss_affinity'] > 0


# Outputs and images

def test_l1_of_the_outputs_compares_the_images(teacher):
    model = distiller(teacher, feature_losses=[
        dict(type='fdsr.FeatureL1Loss', teacher=':output')]).eval()
    lr, samples = prepared(model)
    losses, _ = losses_of(model, lr, samples)
    with torch.no_grad():
        expected = (model.student(lr) - model.teacher(lr, samples.boxes)).abs().mean()
    torch.testing.assert_close(losses['loss_feature_l1'], expected)
    losses['loss_feature_l1'].backward()
    assert model.student.decoder.to_rgb.weight.grad.abs().sum() > 0
    assert model.teacher.decoder.to_rgb.weight.grad is None


def test_the_networks_output_is_a_tap(teacher):
    model = distiller(teacher)
    lr = torch.rand(1, 3, 8, 8)
    with FeatureTaps(model.student, [':output', ':input']) as taps:
        sr = model.student(lr)
    assert taps[':output'] is sr and taps[':input'] is lr


def images(teacher, *more, **settings):
    return distiller(teacher, feature_losses=[
        dict(type='fdsr.AdversarialImageLoss', **settings), *more])


def test_the_image_loss_is_the_papers_on_images(teacher):
    model = images(teacher).eval()
    lr, samples = prepared(model)
    discriminator = model.discriminator['adversarial_image']
    assert discriminator.layers[0].in_channels == 3 and len(model.connectors) == 0
    sr, gt = model.student(lr), samples.gt_img
    encoded, theirs = model.distillation_targets(lr, samples)
    losses, ours = model.student_losses(lr, samples, encoded, theirs)
    torch.testing.assert_close(losses['loss_adversarial_image'],
                               ((discriminator(2 * sr - 1) - 1)**2).mean())
    real, fake = discriminator(2 * gt - 1), discriminator(2 * sr - 1)
    expected = ((real - 1)**2).mean() + (fake**2).mean()
    losses['loss_adversarial_image'].backward()
    assert model.student.decoder.to_rgb.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    log = discriminator_step(model.feature_losses, model.discriminator, ours, theirs,
                             optimisers(model)['discriminator'])
    torch.testing.assert_close(log['loss_d_adversarial_image'], expected.detach())


@pytest.mark.parametrize('more, runs_teacher', [
    ([], 0), ([dict(type='fdsr.FeatureL1Loss')], 1)])
def test_the_teacher_runs_only_if_a_loss_taps_it(teacher, more, runs_teacher,
                                                     monkeypatch):
    model = images(teacher, *more).train()
    encoder, whole = [], []
    kind = type(model.teacher.encoder)
    forward = kind.forward
    monkeypatch.setattr(kind, 'forward', lambda self, image: encoder.append(1)
                        or forward(self, image))
    model.teacher.register_forward_hook(lambda *_: whole.append(1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train_step(batch(), optimisers(model))
    assert (len(encoder), len(whole)) == (1, runs_teacher)
    changed = {name.split('.')[0] for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == {'student', 'discriminator'}


def test_a_loss_needs_a_tap():
    with pytest.raises(ValueError, match=':output'):
        FeatureL1Loss(teacher=None)


# Together

@pytest.mark.parametrize('norm', ['batch', 'spectral'])
def test_all_options_work_with_connector_and_shallow_d(teacher, norm):
    model = distiller(
        teacher, discriminator=dict(type='fdsr.FeatureDiscriminator', base_channels=8,
                                    depth=1, norm=norm),
        feature_losses=[
            dict(type='fdsr.AdversarialFeatureLoss', connector=True, **REGULARISED),
            dict(type='fdsr.AdversarialImageLoss', **REGULARISED),
            dict(type='fdsr.FeatureAffinityLoss', max_side=8),
            dict(type='fdsr.FeatureL1Loss', teacher=':output', loss_weight=0.1)
        ]).train()
    before = {name: value.clone() for name, value in model.named_parameters()}
    log = model.train_step(batch(), optimisers(model))
    assert all(torch.isfinite(torch.as_tensor(value)).all() for value in log.values())
    for name in ('adversarial', 'adversarial_image'):
        assert log[f'd_r1_{name}'] > 0
    changed = {name.split('.')[0] for name, value in model.named_parameters()
               if not torch.equal(value, before[name])}
    assert changed == {'student', 'discriminator', 'connectors'}
    connector = [name for name, value in model.named_parameters()
                 if name.startswith('connectors') and not torch.equal(
                     value, before[name])]
    assert all('connectors.adversarial.' in name for name in connector)


def test_the_student_loss_uses_the_normalized_feature(teacher):
    model = distiller(teacher, feature_losses=[dict(
        type='fdsr.AdversarialFeatureLoss', normalize='channel')]).eval()
    lr, samples = prepared(model)
    losses, ours = losses_of(model, lr, samples)
    discriminator = model.discriminator['adversarial']
    scores = discriminator(F.instance_norm(ours['adversarial']))
    torch.testing.assert_close(losses['loss_adversarial'], ((scores - 1)**2).mean())


def test_without_options_no_random_number_is_drawn(teacher):
    model = distiller(teacher).train()
    assert isinstance(model.feature_losses['adversarial'], AdversarialFeatureLoss)
    data, wrappers = batch(), optimisers(model)
    state = torch.get_rng_state()
    model.train_step(data, wrappers)
    assert torch.equal(state, torch.get_rng_state())
