"""Bicubic up-sampling, to the bit as PIL does it; there is nothing to train.

    python tools/test.py configs/bicubic_vggface2.py --data-root data/vggface2
"""
_base_ = ['_base_/datasets/vggface2.py', '_base_/runtime.py']

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.Bicubic', scale=8),
    test_cfg=dict(name='bicubic'))
