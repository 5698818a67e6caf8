"""Trains RCAN on a CPU, 16 to 128 px, with three groups of six blocks.

    python tools/train.py configs/reduced/rcan_vggface2.py --data-root data/faces
"""
_base_ = [
    '../_base_/models/rcan.py', '../_base_/datasets/vggface2_128_aligned.py',
    '../_base_/schedules/sr_500.py', '../_base_/runtime.py'
]

model = dict(generator=dict(groups=3, blocks=6))
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
