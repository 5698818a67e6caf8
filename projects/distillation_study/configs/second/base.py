"""Losses, schedule and metrics of all runs of the second study."""
_base_ = '../../../../configs/_base_/runtime.py'

losses = dict(
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=100.0),
    perceptual_loss=dict(type='fdsr.LPIPSLoss', window=32, loss_weight=4.0),
    extra_losses=dict(periodicity=dict(
        type='fdsr.PeriodicityLoss', period=8, multiples=(1,), loss_weight=2.0)))

iterations = 4000
train_dataloader = dict(batch_size=8)
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=iterations, val_interval=1000)
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.02, by_epoch=False,
    begin=iterations // 2, end=iterations)
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2), logger=dict(interval=50))
test_evaluator = dict(metrics=[
    dict(type='mmagic.PSNR'),
    dict(type='mmagic.SSIM'),
    dict(type='fdsr.LPIPS', net='alex'),
    dict(type='fdsr.LPIPS', net='vgg16'),
    dict(type='fdsr.IdentitySimilarity'),
])
