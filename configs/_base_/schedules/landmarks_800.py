"""Adam at 1e-3, 800 iterations, for landmark networks on a CPU."""
_base_ = 'linear_decay.py'

train_cfg = dict(max_iters=800)
param_scheduler = dict(begin=500, end=800)
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)))
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
