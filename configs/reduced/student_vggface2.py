"""Trains S w/o KD, the student without distillation, on a CPU: 16 to 128 px.

    python tools/train.py configs/reduced/student_vggface2.py --data-root data/faces
"""
_base_ = [
    '../_base_/models/student_quarter.py', '../_base_/datasets/vggface2_128_aligned.py',
    '../_base_/schedules/adam_500.py', '../_base_/runtime.py'
]

default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
