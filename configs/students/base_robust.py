"""Trains *base*: 2.5 M parameters, 2.3 GMACs, the largest student.

It starts as the bundled ``small``, to whose function its additional blocks add zero.
Run it in the root of the checkout, where that file is.

    python tools/train.py configs/students/base_robust.py
"""
_base_ = 'small_finetuned.py'

iterations = 3000
model = dict(
    init_from='fdsr/weights/shipped/small-789fa7fa.safetensors',
    generator=dict(blocks=22, stage_blocks=(3, 2)))
train_cfg = dict(max_iters=iterations, val_interval=500)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type='LinearLR', start_factor=1.0, end_factor=0.02, by_epoch=False,
         begin=iterations // 3, end=iterations)
]
optim_wrapper = dict(optimizer=dict(lr=5e-4))
