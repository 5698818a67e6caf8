"""Trains *small* on faces that were downsampled by PIL's bicubic, and nothing else.

    python tools/train.py configs/students/small_clean.py
"""
_base_ = [
    '../_base_/models/rep_small.py', '../_base_/datasets/faces_students.py',
    '../_base_/schedules/students.py', '../_base_/runtime_students.py'
]
