"""Trains progressive face SR on a CPU, 16 to 128 px, with half the channels.

    python tools/train.py configs/reduced/progressive_vggface2.py --data-root data/faces

Train configs/reduced/landmark_student.py first: the attention loss uses its heatmaps.
"""
_base_ = [
    '../_base_/models/progressive.py', '../_base_/datasets/vggface2_128_aligned.py',
    '../_base_/schedules/progressive_500.py', '../_base_/runtime.py'
]

model = dict(
    generator=dict(channels=256),
    discriminator=dict(channels=128),
    # The weight is that of the other reduced networks; all faces would take a third
    # longer than S w/o KD.
    perceptual_loss=dict(encoder='vgg16', loss_weight=0.1, faces=4),
    landmarks='work_dirs/reduced/landmark_student/iter_800.pth')
custom_hooks = [dict(type='fdsr.ProgressiveHook', starts=[0, 100, 200], fade=50)]
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
