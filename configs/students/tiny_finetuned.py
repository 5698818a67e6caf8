"""Fine-tunes *tiny* with LPIPS and more clean faces after ``tiny_distilled.py``.

The bundled ``tiny`` is the result; its card has the differences.

    python tools/train.py configs/students/tiny_finetuned.py
"""
_base_ = 'tiny_distilled.py'

iterations = 7000
steps = [
    dict(type='fdsr.OneOf', choices=_base_.steps[0]['choices'], weights=[0.35, 0.65])
]
pipeline = [
    *_base_.augment,
    dict(type='fdsr.BlindDegradation', steps=steps, scale=_base_.scale), _base_.pack
]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
model = dict(
    init_from='work_dirs/students/tiny_distilled/iter_4000.pth',
    perceptual_loss=dict(type='fdsr.LPIPSLoss', window=64, loss_weight=8.0),
    extra_losses=dict(
        periodicity=dict(type='fdsr.PeriodicityLoss', period=8, loss_weight=2.0)))
train_cfg = dict(max_iters=iterations, val_interval=1000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type='LinearLR', start_factor=1.0, end_factor=0.02, by_epoch=False,
         begin=iterations // 2, end=iterations)
]
optim_wrapper = dict(student=dict(
    type='fdsr.AutocastOptimWrapper', optimizer=dict(lr=5e-4)))
