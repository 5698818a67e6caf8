"""Tests bicubic upsampling, a baseline without training.

    python tools/test.py configs/bicubic_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/models/bicubic.py', '_base_/datasets/vggface2.py', '_base_/runtime.py'
]
