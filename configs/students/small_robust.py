"""Trains *small*, the default student, on degraded faces.

    python tools/train.py configs/students/small_robust.py
"""
_base_ = [
    '../_base_/models/rep_small.py', '../_base_/datasets/faces_students_robust.py',
    '../_base_/schedules/students.py', '../_base_/runtime.py'
]

default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2), logger=dict(interval=50))
custom_hooks = [dict(type='fdsr.TrainedEMAHook', name='generator', momentum=0.002)]
