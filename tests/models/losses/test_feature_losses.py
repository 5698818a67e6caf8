"""Affinity, sliced Wasserstein, output, pictures: formulas, and in the distiller."""

import pytest
import torch
import torch.nn.functional as F

from fdsr.models.losses import (
    AdversarialFeatureLoss,
    ContrastiveLoss,
    FeatureAffinityLoss,
    FeatureL1Loss,
    SlicedWassersteinLoss,
)
from fdsr.models.restorers.discriminator_step import discriminator_step
from fdsr.models.taps import FeatureTaps
from tests import toy
from tests.models.restorers.test_distiller import batch, distiller, optimisers

EVERYTHING = dict(normalise='channel', instance_noise=[(0, 0.1), (100, 0.0)], r1=1.0,
                  update_below=1.01)


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

def test_affinity_is_the_cosine_of_each_two_pixels():
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


def test_affinity_needs_no_common_basis():
    feature = random(2, 8, 10, 10)
    other = rotated(feature)
    assert float(FeatureAffinityLoss()(feature, other)) < 1e-5
    assert float(FeatureL1Loss()(feature, other)) > 0.1
    ours = feature.clone().requires_grad_()
    FeatureAffinityLoss()(ours, random(2, 8, 10, 10, seed=1)).backward()
    assert ours.grad.abs().sum() > 0


def test_large_maps_are_averaged_first():
    ours, theirs = random(1, 3, 64, 32), random(1, 3, 64, 32, seed=1)
    found = FeatureAffinityLoss(max_side=16)(ours, theirs)
    pooled = [F.avg_pool2d(feature, (4, 2)) for feature in (ours, theirs)]
    torch.testing.assert_close(found, FeatureAffinityLoss()(*pooled))


def test_affinity_meets_other_channels_without_a_connector(teacher):
    model = distiller(teacher, feature_losses=[dict(
        type='fdsr.FeatureAffinityLoss', student='decoder.stages.0:input',
        teacher='decoder.stages.0.conv:output')])
    assert len(model.connectors) == 0
    assert model.train().train_step(batch(), optimisers(model))['loss_affinity'] > 0


# Contrastive

@pytest.mark.parametrize('across_faces', [True, False])
def test_contrastive_is_the_cross_entropy_of_the_cosines(across_faces):
    ours, theirs = random(2, 3, 2, 2), random(2, 3, 2, 2, seed=1)
    total = 0.0
    for face in range(2):
        for place in range(4):
            here = ours[face].flatten(1)[:, place]
            cosines = {(other_face, other): F.cosine_similarity(
                here, theirs[other_face].flatten(1)[:, other], dim=0)
                for other_face in range(2) for other in range(4)
                if across_faces or other_face == face}
            own = (cosines[face, place] / 0.5).exp()
            total -= (own / sum(
                (value / 0.5).exp() for value in cosines.values())).log()
    loss = ContrastiveLoss(temperature=0.5, across_faces=across_faces)
    torch.testing.assert_close(loss(ours, theirs), total / 8)


def test_contrastive_is_least_where_each_place_finds_its_own():
    feature, loss = random(2, 16, 8, 8), ContrastiveLoss()
    at_home, shifted = loss(feature, feature), loss(feature.roll(1, 3), feature)
    swapped = loss(feature.flip(0), feature)
    assert float(at_home) < 0.1 < 3 < min(float(shifted), float(swapped))
    torch.testing.assert_close(loss(3 * feature, feature), at_home)
    # all alike: no place can be told from the 127 others
    same = torch.ones(2, 16, 8, 8)
    torch.testing.assert_close(loss(same, same), torch.tensor(128.0).log())


def test_contrastive_draws_to_the_own_and_away_from_the_others():
    ours, theirs = random(2, 8, 4, 4).requires_grad_(), random(2, 8, 4, 4, seed=1)
    ContrastiveLoss().forward(ours, theirs).backward()

    def cosines(feature):
        pixels, others = (F.normalize(f.flatten(2), dim=1).transpose(1, 2).flatten(0, 1)
                          for f in (feature, theirs))
        every = pixels @ others.T
        return every.diagonal().mean(), every.max(1).values.mean()
    (own, nearest), (own_later, nearest_later) = (
        cosines(ours), cosines(ours - 0.5 * ours.grad))
    assert own_later > own + 0.001 and nearest_later < nearest
    with pytest.raises(ValueError, match='temperature'):
        ContrastiveLoss(temperature=0)


# Sliced Wasserstein

def test_one_dimension_is_the_sorted_difference():
    ours, theirs = random(2, 1, 4, 4), random(2, 1, 4, 4, seed=1)
    found = SlicedWassersteinLoss()(ours, theirs)
    expected = sum((ours[i].flatten().sort().values
                    - theirs[i].flatten().sort().values).square().mean()
                   for i in range(2)) / 2
    torch.testing.assert_close(found, expected)


def test_places_do_not_matter_and_distributions_do():
    torch.manual_seed(0)
    feature = random(2, 5, 8, 8)
    order = torch.randperm(64)
    shuffled = feature.flatten(2)[:, :, order].view_as(feature)
    assert float(SlicedWassersteinLoss()(feature, shuffled)) < 1e-10
    # a shift v has a distance of |v|² / C along a mean random direction
    shift = torch.tensor([3.0, 0, 0, 4, 0]).view(1, 5, 1, 1)
    found = SlicedWassersteinLoss(num_projections=20000)(feature, feature + shift)
    assert float(found) == pytest.approx(25 / 5, rel=0.05)


def test_projections_follow_torchs_generator():
    ours, theirs = random(1, 4, 8, 8), random(1, 4, 8, 8, seed=1)
    loss = SlicedWassersteinLoss(num_projections=4, max_pixels=10)
    torch.manual_seed(3)
    first, second = loss(ours, theirs), loss(ours, theirs)
    torch.manual_seed(3)
    assert torch.equal(first, loss(ours, theirs)) and not torch.equal(first, second)


def test_a_descent_brings_the_distributions_together():
    torch.manual_seed(0)
    ours = random(1, 4, 8, 8).requires_grad_()
    theirs = 2 * random(1, 4, 8, 8, seed=1) + 1
    optimiser = torch.optim.Adam([ours], 0.1)
    loss, seen = SlicedWassersteinLoss(), []
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(ours, theirs)
        value.backward()
        optimiser.step()
        seen.append(float(value))
    assert seen[-1] < 0.05 * seen[0]


# Outputs and pictures

def test_output_distillation_is_between_the_pictures(teacher):
    model = distiller(
        teacher, feature_losses=[dict(type='fdsr.OutputDistillLoss')]).eval()
    lr, samples = prepared(model)
    losses, _ = losses_of(model, lr, samples)
    with torch.no_grad():
        expected = (model.student(lr) - model.teacher(lr, samples.boxes)).abs().mean()
    torch.testing.assert_close(losses['loss_output'], expected)
    losses['loss_output'].backward()
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


def test_pictures_play_the_papers_game(teacher):
    model = images(teacher).eval()
    lr, samples = prepared(model)
    judge = model.discriminator['adversarial_image']
    assert judge.layers[0].in_channels == 3 and len(model.connectors) == 0
    sr, gt = model.student(lr), samples.gt_img
    encoded, theirs = model.distillation_targets(lr, samples)
    losses, ours = model.student_losses(lr, samples, encoded, theirs)
    torch.testing.assert_close(losses['loss_adversarial_image'],
                               ((judge(2 * sr - 1) - 1)**2).mean())
    expected = ((judge(2 * gt - 1) - 1)**2).mean() + (judge(2 * sr - 1)**2).mean()
    losses['loss_adversarial_image'].backward()
    assert model.student.decoder.to_rgb.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in judge.parameters())
    log = discriminator_step(model.feature_losses, model.discriminator, ours, theirs, 0,
                             optimisers(model)['discriminator'])
    torch.testing.assert_close(log['loss_d_adversarial_image'], expected.detach())


@pytest.mark.parametrize('more, runs_teacher', [
    ([], 0), ([dict(type='fdsr.FeatureL1Loss')], 1)])
def test_the_teacher_runs_only_where_it_is_looked_at(teacher, more, runs_teacher,
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


def test_a_loss_needs_something_to_look_at():
    with pytest.raises(ValueError, match=':output'):
        FeatureL1Loss(teacher=None)


# Together

@pytest.mark.parametrize('norm', ['batch', 'spectral'])
def test_every_option_goes_with_connector_and_shallow_d(teacher, norm):
    model = distiller(
        teacher, discriminator=dict(type='fdsr.FeatureDiscriminator', base_channels=8,
                                    depth=1, norm=norm),
        feature_losses=[
            dict(type='fdsr.AdversarialFeatureLoss', connector=True, **EVERYTHING),
            dict(type='fdsr.AdversarialImageLoss', **EVERYTHING),
            dict(type='fdsr.SlicedWassersteinLoss', max_pixels=100),
            dict(type='fdsr.FeatureAffinityLoss', max_side=8),
            dict(type='fdsr.ContrastiveLoss', num_pixels=20),
            dict(type='fdsr.OutputDistillLoss', loss_weight=0.1)]).train()
    before = {name: value.clone() for name, value in model.named_parameters()}
    log = model.train_step(batch(), optimisers(model))
    assert all(torch.isfinite(torch.as_tensor(value)).all() for value in log.values())
    for name in ('adversarial', 'adversarial_image'):
        assert log[f'd_updated_{name}'] == 1 and log[f'd_r1_{name}'] > 0
    changed = {name.split('.')[0] for name, value in model.named_parameters()
               if not torch.equal(value, before[name])}
    assert changed == {'student', 'discriminator', 'connectors'}
    connector = [name for name, value in model.named_parameters()
                 if name.startswith('connectors') and not torch.equal(
                     value, before[name])]
    assert all('connectors.adversarial.' in name for name in connector)


def test_the_student_is_judged_by_what_d_sees(teacher):
    model = distiller(teacher, feature_losses=[dict(
        type='fdsr.AdversarialFeatureLoss', normalise='channel')]).eval()
    lr, samples = prepared(model)
    losses, ours = losses_of(model, lr, samples)
    judge = model.discriminator['adversarial']
    scores = judge(F.instance_norm(ours['adversarial']))
    torch.testing.assert_close(losses['loss_adversarial'], ((scores - 1)**2).mean())


@pytest.mark.parametrize('limit, moves', [(0.0, False), (1.01, True)])
def test_a_run_with_a_resting_d(teacher, tmp_path, limit, moves):
    config = toy.distiller_config(
        tmp_path, teacher, train_cfg__max_iters=3, model__feature_losses=[dict(
            type='fdsr.AdversarialFeatureLoss', update_below=limit, r1=0.1)])
    runner = toy.train(config)
    scalars = runner.message_hub.log_scalars
    assert list(scalars['train/d_updated_adversarial'].data[0]) == [float(moves)] * 3
    assert ('train/d_r1_adversarial' in scalars) == moves
    assert bool(runner.optim_wrapper['discriminator'].optimizer.state) == moves


def test_without_options_no_random_number_is_drawn(teacher):
    model = distiller(teacher).train()
    assert isinstance(model.feature_losses['adversarial'], AdversarialFeatureLoss)
    data, wrappers = batch(), optimisers(model)
    state = torch.get_rng_state()
    model.train_step(data, wrappers)
    assert torch.equal(state, torch.get_rng_state())
