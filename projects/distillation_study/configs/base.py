"""Settings of all runs of the study; docs/study.md has the protocol.

Aligned faces, 16 to 128 px, 2,000 iterations of batch 4. plan.py lists the runs and
run.py starts them.
"""
_base_ = [
    '../../../configs/_base_/datasets/vggface2_128_aligned.py',
    '../../../configs/_base_/schedules/linear_decay.py',
    '../../../configs/_base_/runtime.py'
]

# The cache holds the features of each face and of its mirror image.
pipeline = [
    *_base_.pipeline[:-1],
    dict(
        type='mmagic.PackInputs', meta_keys=['name', 'mirrored'], data_keys=['boxes'])
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipeline))

iterations = 2000
train_cfg = dict(max_iters=iterations, val_interval=iterations // 4)
param_scheduler = dict(begin=iterations // 2, end=iterations)
# An interrupted run loses five minutes at most.
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2),
    logger=dict(interval=25))
channels_last = True

# The metrics that the study's statistics compare.
test_evaluator = dict(metrics=[
    dict(type='mmagic.PSNR'),
    dict(type='mmagic.SSIM'),
    dict(type='fdsr.LPIPS', net='alex'),
    dict(type='fdsr.LPIPS', net='vgg16'),
    dict(type='fdsr.IdentitySimilarity'),
])
