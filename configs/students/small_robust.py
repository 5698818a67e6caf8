"""Trains *small*, the default student, on degraded faces.

    python tools/train.py configs/students/small_robust.py
"""
_base_ = [
    '../_base_/models/rep_small.py', '../_base_/datasets/faces_students_robust.py',
    '../_base_/schedules/students.py', '../_base_/runtime_students.py'
]
