"""Aligned faces, 16 to 128 px, misaligned and tinted at random; LR by PIL's bicubic."""
_base_ = '../../../../configs/_base_/datasets/vggface2_128_aligned.py'

pack = dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])
augment = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.TintFace', gain=(0.8, 1.2), prob=0.2, grey=0.05),
    dict(type='fdsr.ComponentBoxes')
]
pipeline = [*augment, dict(type='fdsr.DownsampleToLR', scale=_base_.scale), pack]
train_dataloader = dict(
    dataset=dict(jitter=dict(shift=0.03, angle=5.0), pipeline=pipeline))
