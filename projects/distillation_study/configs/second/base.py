"""Data, losses and schedule of the second study; see docs/when_to_distil.md.

Aligned faces, 16 to 128 px, misaligned and tinted at random; LR by PIL's bicubic.
"""
_base_ = [
    '../../../../configs/_base_/datasets/vggface2_128_aligned.py',
    '../../../../configs/_base_/runtime.py'
]

pack = dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])
augment = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.TintFace', gain=(0.8, 1.2), prob=0.2, grey=0.05),
    dict(type='fdsr.ComponentBoxes')
]
pipeline = [*augment, dict(type='fdsr.DownsampleToLR', scale=_base_.scale), pack]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(jitter=dict(shift=0.03, angle=5.0), pipeline=pipeline))

losses = dict(
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=100.0),
    perceptual_loss=dict(type='fdsr.LPIPSLoss', window=32, loss_weight=4.0),
    extra_losses=dict(periodicity=dict(
        type='fdsr.PeriodicityLoss', period=8, multiples=(1,), loss_weight=2.0)))

iterations = 4000
autocast = 'fdsr.AutocastOptimWrapper'  # bf16
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=iterations, val_interval=1000)
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.02, by_epoch=False,
    begin=iterations // 2, end=iterations)
channels_last = True
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2), logger=dict(interval=50))
test_evaluator = dict(metrics=[
    dict(type='mmagic.PSNR'),
    dict(type='mmagic.SSIM'),
    dict(type='fdsr.LPIPS', net='alex'),
    dict(type='fdsr.LPIPS', net='vgg16'),
])
