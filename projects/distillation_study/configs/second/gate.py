"""Fine-tunes a trained teacher for the gate: how much can a dictionary hold?"""
_base_ = 'teacher.py'
custom_imports = dict(imports=['projects.distillation_study.study.oracle'])

iterations = 400
model = dict(type='fdsr.OracleRestorer', init_from='set by gate.py')
train_cfg = dict(max_iters=iterations, val_interval=iterations)
# constant over the first half, as the teacher's rate is about to reach its end again
param_scheduler = dict(begin=iterations // 2, end=iterations)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
val_evaluator = dict(metrics=[
    dict(type='mmagic.PSNR'),
    dict(type='mmagic.SSIM'),
    dict(type='fdsr.LPIPS', net='alex')
])
# The network of this restorer cannot be loaded from a file, so there are no files.
default_hooks = dict(
    _delete_=True,
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=None,
    stop_on_non_finite=dict(type='fdsr.StopOnNonFiniteHook'))
