"""What every run of the study shares: docs/study.md tells why.

Aligned faces, 128 px from 16; 2,000 iterations of batch 4, bf16; validation faces are
of other people than those trained on.
"""
_base_ = [
    '../../../configs/_base_/datasets/vggface2_128_aligned.py',
    '../../../configs/_base_/runtime.py']

pipeline = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.ComponentBoxes'),
    dict(type='fdsr.DownsampleToLR', scale=8),
    dict(type='mmagic.PackInputs', meta_keys=['name', 'mirrored'], data_keys=['boxes'])
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=pipeline))

iterations = 2000
train_cfg = dict(
    type='fdsr.ExactTrainLoop', max_iters=iterations, val_interval=iterations // 4)
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.05, by_epoch=False,
    begin=iterations // 2, end=iterations)
# a run may be cut off at any time: it loses five minutes at most
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2),
    logger=dict(interval=25))
custom_hooks = [dict(type='fdsr.ChannelsLastHook')]

# what the statistics are made of
test_evaluator = dict(metrics=[
    dict(type='mmagic.PSNR'),
    dict(type='mmagic.SSIM'),
    dict(type='fdsr.LPIPS', net='alex'),
    dict(type='fdsr.LPIPS', net='vgg16'),
    dict(type='fdsr.IdentitySimilarity'),
])
