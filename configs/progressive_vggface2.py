"""Trains progressive face SR (Kim et al., BMVC 2019), a baseline, ×8, in three steps.

    python tools/train.py configs/progressive_vggface2.py --data-root data/vggface2

Train configs/extra/landmark_student.py first: the attention loss uses its heatmaps.
"""
_base_ = [
    '_base_/models/progressive.py', '_base_/datasets/vggface2.py',
    '_base_/schedules/progressive_300k.py', '_base_/runtime.py'
]

model = dict(landmarks='work_dirs/extra/landmark_student/iter_20000.pth')
custom_hooks = [
    dict(type='fdsr.ProgressiveHook', starts=[0, 100000, 200000], fade=50000)
]
