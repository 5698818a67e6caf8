"""Trains *tiny*: 0.28 M parameters, 0.27 GMACs, for video and small machines.

    python tools/train.py configs/students/tiny_robust.py
"""
_base_ = 'small_robust.py'

model = dict(generator=dict(
    channels=40, blocks=4, stage_channels=(24, 8), stage_blocks=(1, 1),
    context_channels=56, context_blocks=1))
