"""Hooks, logging, validation and test loops of every run."""
default_scope = 'fdsr'
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='fdsr.CheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3),
    self_describing=dict(type='fdsr.SelfDescribingHook'),
    exact_resume=dict(type='fdsr.ExactResumeHook'),
    stop_on_non_finite=dict(type='fdsr.StopOnNonFiniteHook'))
custom_hooks = []
channels_last = False  # memory format of the weights
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=1),
    dist_cfg=dict(backend='nccl'))
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
log_level = 'INFO'
visualizer = dict(
    type='fdsr.ScalarVisualizer', vis_backends=[dict(type='LocalVisBackend')])
randomness = dict(seed=0)
load_from = None
resume = False

val_cfg = dict(type='fdsr.FaceValLoop')
test_cfg = dict(type='fdsr.FaceTestLoop')
# RGB, no border, rounded to uint8; LPIPS v0.1 with AlexNet
val_evaluator = test_evaluator = dict(
    type='fdsr.FaceEvaluator',
    metrics=[
        dict(type='mmagic.PSNR'),
        dict(type='mmagic.SSIM'),
        dict(type='fdsr.LPIPS', net='alex')
    ])
