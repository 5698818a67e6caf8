"""Bicubic upsampling, bit-identical to PIL's. It has no parameters."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.Bicubic', scale=8),
    test_cfg=dict(report=['bicubic']))
