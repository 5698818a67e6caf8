"""Trains SRFBN on a CPU, 16 to 128 px, with half the channels and two steps.

    python tools/train.py configs/reduced/srfbn_vggface2.py --data-root data/faces
"""
_base_ = [
    '../_base_/models/srfbn.py', '../_base_/datasets/vggface2_128_aligned.py',
    '../_base_/schedules/sr_500.py', '../_base_/runtime.py'
]

model = dict(generator=dict(channels=32, steps=2, groups=3))
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
