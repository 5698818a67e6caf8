"""CompactSR without distillation: residual blocks at LR's size, pixel shuffles."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.CompactSR', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=100.0),
    perceptual_loss=dict(
        type='fdsr.PerceptualLoss', encoder='vgg16', loss_weight=0.1),
    test_cfg=dict(report=['bicubic', 'student']))
