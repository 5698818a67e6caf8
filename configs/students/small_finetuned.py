"""Fine-tunes *small* with more clean faces and twice the weight of LPIPS.

The bundled ``small`` is the result; its card has the differences.

    python tools/train.py configs/students/small_finetuned.py
"""
_base_ = 'small_robust.py'

iterations = 12200
steps = [
    dict(type='fdsr.OneOf', choices=_base_.steps[0]['choices'], weights=[0.35, 0.65])
]
pipeline = [
    *_base_.augment,
    dict(type='fdsr.BlindDegradation', steps=steps, scale=_base_.scale), _base_.pack
]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
model = dict(
    init_from='work_dirs/students/small_robust/iter_20000.pth',
    perceptual_loss=dict(loss_weight=8.0))
train_cfg = dict(max_iters=iterations)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type='LinearLR', start_factor=1.0, end_factor=0.02, by_epoch=False,
         begin=iterations // 2, end=iterations)
]
optim_wrapper = dict(type='fdsr.AutocastOptimWrapper', optimizer=dict(lr=7e-4))
channels_last = True
