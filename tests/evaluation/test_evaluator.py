"""FaceEvaluator: mmagic's metrics, several models, skipped and repeated samples."""

import numpy as np
import pytest
import torch
from mmagic.structures import DataSample
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fdsr.evaluation import evaluator as evaluator_module
from fdsr.evaluation.evaluator import FaceEvaluator
from fdsr.registry import EVALUATORS
from tests.evaluation.pictures import blurred, noisy, photographs

PSNR_SSIM = [dict(type='mmagic.PSNR'), dict(type='mmagic.SSIM')]


def sample(name, gt, **predictions):
    made = DataSample(metainfo=dict(name=name))
    made.gt_img = gt
    made.predictions = predictions
    return made


@pytest.fixture(scope='module')
def samples():
    gt = photographs()
    student, teacher = blurred(gt, 1), noisy(gt, 5)
    return [
        sample(f'n{i}/0', gt[i], student=student[i], teacher=teacher[i])
        for i in range(len(gt))]


def reference(metric, gt, pred):
    gt, pred = (image.permute(1, 2, 0).numpy() for image in (gt, pred))
    if metric == 'PSNR':
        return peak_signal_noise_ratio(gt, pred, data_range=255)
    return structural_similarity(
        gt, pred, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False)


def test_psnr_and_ssim_equal_skimages(samples):
    evaluator = FaceEvaluator(PSNR_SSIM)
    evaluator.process(samples[:2])
    evaluator.process(samples[2:])
    found = evaluator.evaluate(len(samples))
    assert list(found) == [
        'student/PSNR', 'student/SSIM', 'teacher/PSNR', 'teacher/SSIM']
    for key, value in found.items():
        model, metric = key.split('/')
        per_image = [
            reference(metric, s.gt_img, s.predictions[model]) for s in samples]
        # Both implementations exclude a border of five pixels, so that only the
        # rounding of float32 differs.
        assert value == pytest.approx(np.mean(per_image), abs=2e-4)


def matlabs_y(image):
    """BT.601 as in MATLAB's rgb2ycbcr, 16 to 235, without rounding."""
    rgb = image.double().permute(1, 2, 0).numpy() / 255
    return rgb @ [65.481, 128.553, 24.966] + 16


@pytest.mark.parametrize('border', [0, 8])
@pytest.mark.parametrize('colours', [None, 'Y'])
def test_y_and_border_equal_skimages(samples, colours, border):
    facts = dict(convert_to=colours, crop_border=border)
    evaluator = FaceEvaluator([
        dict(type='mmagic.PSNR', **facts), dict(type='mmagic.SSIM', **facts)])
    evaluator.process(samples)
    evaluator.evaluate(len(samples))
    psnr, ssim = list(evaluator.rows[0])[2:]
    images = {(s.name, 'gt'): s.gt_img for s in samples}
    images.update({
        (s.name, model): s.predictions[model]
        for s in samples for model in s.predictions})
    window = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    for row in evaluator.rows:
        gt, pred = (
            matlabs_y(image) if colours else image.permute(1, 2, 0).numpy()
            for image in (images[row['name'], 'gt'], images[row['name'], row['model']]))
        gt, pred = (
            image[border:len(image) - border, border:len(image) - border]
            for image in (gt, pred))
        assert row[psnr] == pytest.approx(
            peak_signal_noise_ratio(gt, pred, data_range=255), abs=1e-5)
        assert row[ssim] == pytest.approx(structural_similarity(
            gt, pred, channel_axis=None if colours else 2, data_range=255, **window),
            abs=1e-6)


def test_y_is_made_of_rgb_not_of_bgr(samples):
    evaluator = FaceEvaluator([dict(type='mmagic.PSNR', convert_to='Y')])
    evaluator.process(samples)
    found = evaluator.evaluate(len(samples))['student/PSNR-Y']

    def y(image):
        return rgb2ycbcr(image.permute(1, 2, 0).numpy())[..., 0]

    per_image = [
        10 * np.log10(255 ** 2 / np.mean((y(s.gt_img) - y(s.predictions['student']))
                                         ** 2)) for s in samples]
    assert found == pytest.approx(np.mean(per_image), abs=0.01)


def test_every_protocol_has_a_column_of_its_own(samples):
    evaluator = FaceEvaluator([
        dict(type='mmagic.PSNR'), dict(type='mmagic.PSNR', convert_to='Y'),
        dict(type='mmagic.PSNR', crop_border=8),
        dict(type='mmagic.SSIM', convert_to='Y', crop_border=8),
        dict(type='fdsr.LPIPS'), dict(type='fdsr.LPIPS', net='vgg16')])
    evaluator.process(samples[:1])
    evaluator.evaluate(1)
    assert list(evaluator.models['teacher']) == [
        'PSNR', 'PSNR-Y', 'PSNR-crop8', 'SSIM-Y-crop8', 'LPIPS', 'LPIPS-vgg16']
    facts = evaluator.protocol()
    assert facts['SSIM-Y-crop8']['border'] == 8
    assert facts['SSIM-Y-crop8']['colour_space'] == 'Y'
    assert '11x11' in facts['SSIM-Y-crop8']['window']
    assert facts['LPIPS-vgg16']['net'] == 'vgg16'
    assert facts['PSNR'] == dict(metric='PSNR', border=0, colour_space='RGB')


def test_lpips_of_a_batch_equals_lpips_one_by_one(samples):
    batch, single = (FaceEvaluator([dict(type='fdsr.LPIPS')]) for _ in range(2))
    batch.process(samples)
    for one in samples:
        single.process([one])
    a, b = batch.evaluate(3), single.evaluate(3)
    assert a == pytest.approx(b, rel=1e-4)


def test_values_of_each_image_are_kept(samples):
    evaluator = FaceEvaluator(PSNR_SSIM)
    evaluator.process(samples)
    evaluator.evaluate(3)
    assert len(evaluator.rows) == 6
    row = next(
        r for r in evaluator.rows if (r['name'], r['model']) == ('n1/0', 'teacher'))
    assert list(row) == ['name', 'model', 'PSNR', 'SSIM']
    expected = reference('PSNR', samples[1].gt_img, samples[1].predictions['teacher'])
    assert row['PSNR'] == pytest.approx(expected, abs=1e-3)


def test_skipped_samples_are_counted_and_empty_batches_are_accepted(samples):
    evaluator = FaceEvaluator(PSNR_SSIM)
    evaluator.process([])
    evaluator.process(samples)
    evaluator.evaluate(size=5)
    assert (evaluator.num_images, evaluator.num_skipped) == (3, 2)


def test_a_second_run_starts_afresh(samples):
    evaluator = FaceEvaluator(PSNR_SSIM)
    evaluator.process(samples)
    evaluator.evaluate(3)
    evaluator.process(samples[:1])
    evaluator.evaluate(1)
    assert evaluator.num_images == 1 and len(evaluator.rows) == 2


def test_nothing_measured_is_an_error():
    with pytest.raises(RuntimeError, match='skipped_'):
        FaceEvaluator(PSNR_SSIM).evaluate(7)


def test_what_a_distributed_sampler_repeats_counts_once(samples, monkeypatch):
    """Three samples on two ranks: the sampler repeats the first one."""
    ranks = []
    for mine in ([samples[0], samples[2]], [samples[1], samples[0]]):
        rank = FaceEvaluator(PSNR_SSIM)
        rank.process(mine)
        ranks.append(rank)
    pending = [rank._pending for rank in ranks]
    monkeypatch.setattr(evaluator_module, 'all_gather_object', lambda rows: pending)
    monkeypatch.setattr(evaluator_module, 'get_world_size', lambda: 2)
    found = [rank.evaluate(3) for rank in ranks]
    assert ranks[0].num_images == 3 and ranks[0].num_skipped == 0
    monkeypatch.undo()
    alone = FaceEvaluator(PSNR_SSIM)
    alone.process(samples)
    assert found[0] == found[1] == alone.evaluate(3)


def test_two_samples_of_one_name_are_an_error(samples):
    evaluator = FaceEvaluator(PSNR_SSIM)
    evaluator.process(samples)
    evaluator.process([sample('n1/0', samples[0].gt_img, **samples[0].predictions)])
    with pytest.raises(ValueError, match='n1/0'):
        evaluator.evaluate(4)


def test_models_measured_on_different_images_are_not_compared(samples):
    evaluator = FaceEvaluator(PSNR_SSIM)
    evaluator.process(samples)
    evaluator.process([sample('x', samples[0].gt_img, student=samples[0].gt_img)])
    with pytest.raises(ValueError, match="'student': 4, 'teacher': 3"):
        evaluator.evaluate(4)


def test_images_that_were_not_rounded_are_refused(samples):
    gt = samples[0].gt_img
    with pytest.raises(TypeError, match=r"predictions\['s'\] is torch.float32"):
        FaceEvaluator(PSNR_SSIM).process([sample('a', gt, s=gt / 255)])


def test_another_size_is_refused(samples):
    gt = samples[0].gt_img
    with pytest.raises(ValueError, match=r'SR of s is \(3, 32, 64\)'):
        FaceEvaluator(PSNR_SSIM).process([sample('a', gt, s=gt[:, :32])])


@pytest.mark.parametrize('metrics,hint', [
    (PSNR_SSIM + PSNR_SSIM[:1], "two metrics have the column 'PSNR'"),
    ([dict(type='mmagic.PSNR', prefix='x')], 'Remove the prefix'),
    ([dict(type='mmengine.DumpResults', out_file_path='x.pkl')], 'process_image'),
])
def test_bad_lists_of_metrics_are_refused(metrics, hint):
    with pytest.raises((ValueError, TypeError), match=hint):
        FaceEvaluator(metrics)


def test_is_built_by_mmengines_root_as_the_runner_does():
    from mmengine.registry import EVALUATOR
    config = dict(type='fdsr.FaceEvaluator', metrics=PSNR_SSIM)
    assert isinstance(EVALUATOR.build(config.copy()), FaceEvaluator)
    assert isinstance(EVALUATORS.build(config.copy()), FaceEvaluator)


def test_serves_mmengines_loops(samples):
    """ValLoop and TestLoop over a dataset with one skipped sample."""
    from mmengine.model import BaseModel
    from mmengine.runner import Runner
    from torch.utils.data import Dataset

    class Samples(Dataset):
        metainfo = dict(name='toy')

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return index

    class Model(BaseModel):
        def forward(self, indices, mode):
            return [samples[i] for i in indices if i < 3]

        def test_step(self, data):
            return self(data, 'predict')

        val_step = test_step

    def collate(items):
        return items

    import tempfile
    with tempfile.TemporaryDirectory() as work_dir:
        loader = torch.utils.data.DataLoader(Samples(), 2, collate_fn=collate)
        evaluator = FaceEvaluator(PSNR_SSIM)
        runner = Runner(
            model=Model(), work_dir=work_dir, test_dataloader=loader,
            test_evaluator=evaluator, test_cfg=dict(), default_scope='fdsr',
            experiment_name='serves_mmengines_loops', log_level='ERROR')
        found = runner.test()
    assert found['student/PSNR'] == evaluator.models['student']['PSNR']
    assert evaluator.num_images == 3 and evaluator.num_skipped == 1
