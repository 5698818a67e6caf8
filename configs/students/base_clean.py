"""Trains *base*: 2.5 M parameters, 2.3 GMACs, the best quality.

    python tools/train.py configs/students/base_clean.py
"""
_base_ = 'small_clean.py'

model = dict(generator=dict(blocks=22, stage_blocks=(3, 2)))
