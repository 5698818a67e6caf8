"""FID against closed forms, against scipy and mmagic, and inside FaceEvaluator."""

import warnings

import numpy as np
import pytest
import torch
from mmagic.evaluation.functional import fid_inception
from scipy.linalg import sqrtm

from fdsr.evaluation import evaluator as evaluator_module
from fdsr.evaluation import fid as fid_module
from fdsr.evaluation.evaluator import FaceEvaluator
from fdsr.evaluation.fid import FID, FID_FILE, FID_SHA256, frechet_distance
from fdsr.evaluation.protocol import format_table
from fdsr.weights import sha256_of
from tests.evaluation.pictures import blurred, noisy, photographs
from tests.evaluation.test_evaluator import sample


def gaussian(dimensions, samples, seed):
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(samples, dimensions)) @ rng.normal(
        size=(dimensions, dimensions))
    return drawn + rng.normal(size=dimensions)


def moments(drawn):
    return drawn.mean(axis=0), np.cov(drawn, rowvar=False)


def by_scipy(mean_a, cov_a, mean_b, cov_b):
    """The formula as pytorch-fid computes it."""
    root = sqrtm(cov_a @ cov_b).real
    return ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)


def test_gaussians_with_diagonal_covariances_have_a_closed_form():
    rng = np.random.default_rng(0)
    mean_a, mean_b = rng.normal(size=(2, 12))
    std_a, std_b = rng.uniform(0.1, 3, size=(2, 12))
    expected = ((mean_a - mean_b) ** 2).sum() + ((std_a - std_b) ** 2).sum()
    found = frechet_distance(mean_a, np.diag(std_a ** 2), mean_b, np.diag(std_b ** 2))
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_turned_and_scaled_gaussian_has_a_closed_form():
    """C and s²C commute, whatever C: the distance is (1 - s)² tr C."""
    _, cov = moments(gaussian(10, 400, seed=1))
    found = frechet_distance(np.zeros(10), cov, np.zeros(10), 2.25 * cov)
    assert found == pytest.approx(0.25 * np.trace(cov), rel=1e-10)


@pytest.mark.parametrize('samples', [500, 20])
def test_equals_scipys_root_also_where_covariances_are_singular(samples):
    a, b = (moments(gaussian(40, samples, seed)) for seed in (2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # scipy warns about singular matrices
        expected = by_scipy(*a, *b)
    tolerance = 1e-10 if samples > 40 else 1e-4
    assert frechet_distance(*a, *b) == pytest.approx(expected, rel=tolerance)
    assert frechet_distance(*b, *a) == pytest.approx(frechet_distance(*a, *b))
    assert frechet_distance(*a, *a) == pytest.approx(0, abs=1e-6 * np.trace(a[1]))


@pytest.fixture(scope='module')
def network():
    return FID(random_weights=True, min_images=2)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A file in pytorch-fid's layout with random weights and without BN counters."""
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        state = fid_inception.fid_inception_v3(load_ckpt=False).state_dict()
    path = tmp_path_factory.mktemp('fid') / FID_FILE
    torch.save({
        key: value for key, value in state.items() if 'num_batches' not in key}, path)
    return path


def test_features_equal_those_of_mmagics_network(weights, monkeypatch):
    """Compares with mmagic's network, whose downloader returns the local file."""
    monkeypatch.setattr(
        fid_inception, 'load_url', lambda *args, **kwargs: torch.load(
            weights, weights_only=True))
    theirs = fid_inception.InceptionV3().eval()
    metric = FID(str(weights), sha256=sha256_of(weights))
    images = photographs(40)
    found = metric.set_features(images)
    expected = theirs(images.float() / 255)[0].flatten(1)
    assert found.shape == (3, 2048) and expected.std() > 0
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    assert metric.protocol()['weights_sha256'] == sha256_of(weights)


def test_the_file_of_pytorch_fid_is_asked_for(weights):
    assert FID_SHA256.startswith(FID_FILE.removesuffix('.pth').rpartition('-')[2])
    with pytest.raises(ValueError, match=f'mseitzer/pytorch-fid.*{FID_FILE}'):
        FID()
    with pytest.raises(ValueError, match='expected SHA-256 6726825d'):
        FID(str(weights))
    with pytest.raises(ValueError, match='random_weights=True'):
        FID(str(weights), random_weights=True)
    with pytest.raises(FileNotFoundError, match='absent.pth'):
        FID('absent.pth')


def test_another_networks_file_is_refused(tmp_path):
    path = tmp_path / 'other.pth'
    torch.save({'conv.weight': torch.zeros(1)}, path)
    with pytest.raises(RuntimeError, match='Mixed_5b'):
        FID(str(path), sha256=sha256_of(path))


def test_random_weights_are_announced_fixed_and_leave_the_generator(monkeypatch):
    said = []
    monkeypatch.setattr(fid_module, 'announce_random', said.append)
    before = torch.random.get_rng_state()
    metric = FID(random_weights=True)
    assert said == ['Inception of the metric FID']
    assert torch.equal(before, torch.random.get_rng_state())
    assert 'RANDOM' in metric.protocol()['weights_sha256']
    assert not any(p.requires_grad for p in metric.model.parameters())
    assert not any(m.training for m in metric.model.modules())


def test_building_downloads_nothing(weights, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('a download was tried')
    monkeypatch.setattr(fid_inception, 'load_url', refuse)
    monkeypatch.setattr(torch.hub, 'download_url_to_file', refuse)
    monkeypatch.setattr('urllib.request.urlopen', refuse)
    FID(str(weights), sha256=sha256_of(weights))


def test_few_images_give_no_number():
    with pytest.raises(ValueError, match='FID: 7 images, expected at least 2000'):
        FID.distance(SmallFID(min_images=2000), np.zeros((9, 4)), np.zeros((7, 4)))


def test_other_images_are_refused(network):
    for images in (photographs(16).float(), photographs(16)[0]):
        with pytest.raises(ValueError, match='expected a uint8 batch'):
            network.set_features(images)


class SmallFID(FID):
    """FID on 4 x 4 mean colours that counts the images."""

    def __init__(self, min_images=2):
        super(FID, self).__init__()
        self.min_images, self.weights_file, self.seen = min_images, None, 0

    def set_features(self, images):
        self.seen += len(images)
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1)


def test_works_in_mmagics_layout_of_results():
    metric, gt = SmallFID(), photographs(32)
    pred = blurred(gt, 2)
    metric.process(None, [
        dict(gt_img=g, output=dict(pred_img=p)) for g, p in zip(gt, pred)])
    expected = metric.distance(metric.set_features(gt), metric.set_features(pred))
    found = metric.evaluate(size=3)['FID']
    assert found == pytest.approx(expected) and found > 0


@pytest.fixture(scope='module')
def samples():
    gt = torch.cat([noisy(photographs(), sigma) for sigma in (1, 5, 20)])
    student, teacher = blurred(gt, 2), noisy(gt, 5)
    return [
        sample(f'n{i}/0', gt[i], student=student[i], teacher=teacher[i])
        for i in range(len(gt))]


def fid_of(samples, model):
    metric = SmallFID()
    gt = torch.stack([s.gt_img for s in samples])
    pred = torch.stack([s.predictions[model] for s in samples])
    return metric.distance(metric.set_features(gt), metric.set_features(pred))


def test_the_evaluator_compares_the_whole_set(samples):
    metric = SmallFID()
    evaluator = FaceEvaluator([dict(type='mmagic.PSNR'), metric,
                               dict(type='mmagic.SSIM')])
    evaluator.process(samples[:4])
    evaluator.process([])
    evaluator.process(samples[4:])
    found = evaluator.evaluate(len(samples))
    for model in ('student', 'teacher'):
        assert found[f'{model}/FID'] == pytest.approx(fid_of(samples, model))
        assert list(evaluator.models[model]) == ['PSNR', 'FID', 'SSIM']
    assert found['student/FID'] > found['teacher/FID'] > 0
    assert all(list(r) == ['name', 'model', 'PSNR', 'SSIM'] for r in evaluator.rows)
    assert metric.seen == 3 * len(samples)  # GT once and each of the two models once


@pytest.mark.slow
def test_the_real_network_serves_the_evaluator(network, samples):
    evaluator = FaceEvaluator(network)
    gt = torch.stack([s.gt_img for s in samples[:2]])
    pred = torch.stack([s.predictions['student'] for s in samples[:2]])
    evaluator.process([
        sample(str(i), gt[i], student=pred[i]) for i in range(len(gt))])
    found = evaluator.evaluate(2)
    expected = network.distance(network.set_features(gt), network.set_features(pred))
    assert found['student/FID'] == pytest.approx(expected, rel=1e-5)
    assert evaluator.protocol()['FID']['weights_sha256'] == 'RANDOM WEIGHTS'


def test_images_of_several_sizes_may_share_a_batch(samples):
    small = sample('small', samples[0].gt_img[:, ::2, ::2], **{
        model: image[:, ::2, ::2]
        for model, image in samples[0].predictions.items()})
    evaluator = FaceEvaluator(SmallFID())
    evaluator.process([small, *samples[:2]])
    assert evaluator.evaluate(3)['teacher/FID'] > 0


def test_what_a_distributed_sampler_repeats_counts_once(samples, monkeypatch):
    """Three samples on two ranks: the sampler repeats the first one."""
    ranks = []
    for mine in ([samples[0], samples[2]], [samples[1], samples[0]]):
        rank = FaceEvaluator(SmallFID())
        rank.process(mine)
        ranks.append(rank)
    pending = [rank._pending for rank in ranks]
    monkeypatch.setattr(evaluator_module, 'all_gather_object', lambda rows: pending)
    monkeypatch.setattr(evaluator_module, 'get_world_size', lambda: 2)
    found = [rank.evaluate(3) for rank in ranks]
    assert found[0] == found[1]
    assert found[0]['student/FID'] == pytest.approx(fid_of(samples[:3], 'student'))


def test_too_small_a_set_is_an_error_in_the_end(samples):
    evaluator = FaceEvaluator(SmallFID(min_images=10))
    evaluator.process(samples)
    with pytest.raises(ValueError, match='9 images, expected at least 10'):
        evaluator.evaluate(10)


def test_too_small_a_set_is_an_error_before_anything_is_measured():
    """The loops pass the dataset's metainfo."""
    evaluator = FaceEvaluator(SmallFID(min_images=10))
    with pytest.raises(ValueError, match='9 images, expected at least 10'):
        evaluator.dataset_meta = dict(name='toy', protocol=dict(kept=9))
    for silent in (dict(name='toy'), dict(protocol=dict(kept=10)), None):
        evaluator.dataset_meta = silent
        assert evaluator.dataset_meta == silent
    FaceEvaluator(dict(type='mmagic.PSNR')).dataset_meta = dict(protocol=dict(kept=0))


def test_a_second_run_starts_afresh(samples):
    evaluator = FaceEvaluator(SmallFID())
    evaluator.process(samples)
    evaluator.evaluate(9)
    evaluator.process(samples[:3])
    expected = pytest.approx(fid_of(samples[:3], 'teacher'))
    assert evaluator.evaluate(3)['teacher/FID'] == expected


def test_tables_show_the_direction():
    table = format_table({'a': {'FID': 12.346, 'ID-dlib': 0.98765}}, {})
    assert '| Model | FID ↓ | ID-dlib ↑ |' in table
    assert '| a | 12.35 | 0.9877 |' in table
