"""Tests bicubic upsampling, 16 to 128 px, a baseline without training.

    python tools/test.py configs/reduced/bicubic_vggface2.py --data-root data/faces
"""
_base_ = [
    '../_base_/models/bicubic.py', '../_base_/datasets/vggface2_128_aligned.py',
    '../_base_/runtime.py'
]
