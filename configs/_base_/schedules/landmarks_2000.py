"""Adam at 1e-3, 2,000 iterations, for landmark networks on a CPU."""
_base_ = 'linear_decay.py'

train_cfg = dict(max_iters=2000)
param_scheduler = dict(begin=1000, end=2000)
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)))
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
