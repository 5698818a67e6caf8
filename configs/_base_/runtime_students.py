"""The runtime of the students: frequent checkpoints and a moving average."""
_base_ = 'runtime.py'

default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2), logger=dict(interval=50))
custom_hooks = [dict(type='fdsr.TrainedEMAHook', name='generator', momentum=0.002)]
