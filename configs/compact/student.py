"""The small student without distillation: what distillation is held against.

    python tools/train.py configs/compact/student.py --data-root data/faces_public
"""
_base_ = 'teacher.py'

model = dict(
    generator=dict(_delete_=True, type='fdsr.CompactSR', scale=8),
    test_cfg=dict(name='student'))
train_dataloader = dict(batch_size=8)
iterations = 2000
train_cfg = dict(max_iters=iterations, val_interval=500)
param_scheduler = dict(begin=iterations // 2, end=iterations)
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.99)))
