"""Trains S w/o KD, the student without distillation: the paper's control.

    python tools/train.py configs/student_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/models/student.py', '_base_/datasets/vggface2.py',
    '_base_/schedules/adam_300k.py', '_base_/runtime.py'
]
