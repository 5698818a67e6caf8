"""Training one backbone, whatever its contract."""

import pytest
import torch
from torch import nn

from fdsr.models.restorers import FaceRestorer, FaceTester
from fdsr.registry import DATASETS, FUNCTIONS, MODELS
from tests import toy


def batch(size=2, boxes=True):
    config = dict(toy.loaders()['train_dataloader']['dataset'])
    if not boxes:
        config['pipeline'] = [step for step in config['pipeline']
                              if 'Boxes' not in step['type']]
    dataset = DATASETS.build(config)
    return FUNCTIONS.get('fdsr.collate_samples')([dataset[i] for i in range(size)])


@MODELS.register_module(force=True)
class TwoSteps(nn.Module):
    """A network whose loss sums over steps."""

    def __init__(self):
        super().__init__()
        self.up = nn.Upsample(scale_factor=toy.SCALE)
        self.gain = nn.Parameter(torch.tensor(0.5))

    def forward_steps(self, lr):
        coarse = self.up(lr)
        return [coarse * self.gain, coarse * self.gain**2]

    def forward(self, lr, all_steps=False):
        outputs = self.forward_steps(lr)
        return outputs if all_steps else outputs[-1]


def test_pixel_loss_sums_over_the_steps():
    model = FaceRestorer(dict(type='TwoSteps'),
                         pixel_loss=dict(type='fdsr.PixelLoss', loss_weight=3.0))
    data = model.data_preprocessor(batch(), True)
    gt = data['data_samples'].gt_img
    losses = model(**data, mode='loss')
    expected = 3 * sum(
        ((2 * (output - gt))**2).mean()
        for output in model.generator.forward_steps(data['inputs']))
    torch.testing.assert_close(losses['loss_pixel'], expected)


def test_batches_are_rgb_in_zero_to_one_with_boxes():
    data = toy_preprocessed()
    assert data['inputs'].shape == (2, 3, toy.SIZE // toy.SCALE, toy.SIZE // toy.SCALE)
    samples = data['data_samples']
    assert samples.gt_img.shape == (2, 3, toy.SIZE, toy.SIZE)
    assert samples.boxes.shape == (2, 4, 4)
    for image in (data['inputs'], samples.gt_img):
        assert 0 <= image.min() and 0.5 < image.max() <= 1
    assert len(set(samples.metainfo['name'])) == 2


def toy_preprocessed():
    return MODELS.build(dict(type='fdsr.FacePreprocessor'))(batch(), True)


def test_a_backbone_that_needs_boxes_says_so_when_there_are_none():
    model = FaceRestorer(toy.TEACHER)
    with pytest.raises(ValueError, match='fdsr.ComponentBoxes'):
        model.val_step(batch(boxes=False))


def test_predictions_are_rounded_pictures_beside_bicubic():
    model = FaceRestorer(toy.STUDENT, test_cfg=dict(report=['bicubic', 'student']))
    samples = model.eval().val_step(batch(3))
    assert len(samples) == 3
    for sample in samples:
        assert list(sample.predictions) == ['bicubic', 'student']
        for image in (*sample.predictions.values(), sample.gt_img):
            assert image.dtype == torch.uint8
            assert image.shape == (3, toy.SIZE, toy.SIZE)
    again = FaceTester({'student': toy.STUDENT}, bicubic=True).test_step(batch(3))
    assert torch.equal(again[0].predictions['bicubic'],
                       samples[0].predictions['bicubic'])


def test_ground_truth_survives_the_way_through_the_network():
    data = batch(1)
    sample = FaceRestorer(toy.STUDENT).val_step(batch(1))[0]
    assert torch.equal(sample.gt_img, data['data_samples'][0].gt_img)
    assert torch.equal(sample.input, data['inputs'][0])


def test_each_loss_has_its_own_weight():
    """The default is DFDNet's weight for the pixel loss."""
    model = FaceRestorer(toy.STUDENT)
    assert model.pixel_loss.loss_weight == 100
    with pytest.raises(TypeError, match='loss_weights'):
        FaceRestorer(toy.STUDENT, loss_weights='dfdnet')


def test_extra_losses_are_called_with_sr_and_gt():
    extra = dict(squares=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=7.0))
    model = FaceRestorer(dict(type='fdsr.Bicubic', scale=toy.SCALE),
                         extra_losses=extra)
    data = model.data_preprocessor(batch(), True)
    losses = model.forward_train(**data)
    sr = model.generator(data['inputs'])
    expected = 7 * MODELS.build(dict(extra['squares'], loss_weight=1.0))(
        sr, data['data_samples'].gt_img)
    torch.testing.assert_close(losses['loss_squares'], expected)
    assert set(losses) == {'loss_pixel', 'loss_squares'}
    with pytest.raises(ValueError, match='extra_losses: pixel is the name of another'):
        FaceRestorer(toy.STUDENT, extra_losses=dict(pixel=extra['squares']))


@pytest.mark.parametrize('test_cfg, message', [
    (dict(name='student', bicubic=True), "found {'name': 'student', 'bicubic': True}"),
    (dict(report='student'), "report=\\['bicubic', 'generator'\\]"),
    (dict(report=['student', 'teacher']), 'one network, found the names student, t')])
def test_a_wrong_test_cfg_is_an_error(test_cfg, message):
    with pytest.raises(ValueError, match=message):
        FaceRestorer(toy.STUDENT, test_cfg=test_cfg)


def test_a_student_starts_from_a_teachers_file(tmp_path):
    checkpoint = toy.trained_teacher(tmp_path)
    model = FaceRestorer(toy.STUDENT, init_from=str(checkpoint))
    theirs = torch.load(checkpoint, weights_only=True)['state_dict']
    assert torch.equal(model.generator.decoder.to_rgb.weight,
                       theirs['generator.decoder.to_rgb.weight'])
