"""Trains *base*: 3.2 M parameters, 2.6 GMACs, the best quality.

    python tools/train.py configs/students/base_clean.py
"""
_base_ = 'small_clean.py'

model = dict(generator=dict(
    channels=96, blocks=10, stage_channels=(48, 16), stage_blocks=(2, 2),
    context_channels=128))
