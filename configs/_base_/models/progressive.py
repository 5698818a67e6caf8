"""Progressive face SR (Kim et al., BMVC 2019) with its four losses.

A config adds the landmark network and the hook. docs/method.md explains
their weights.
"""
model = dict(
    type='fdsr.ProgressiveRestorer',
    generator=dict(type='fdsr.ProgressiveFSR', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=100.0),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg19'),
    attention_loss=dict(type='fdsr.FacialAttentionLoss', loss_weight=50.0),
    adversarial_loss=dict(type='fdsr.WassersteinLoss', loss_weight=0.01),
    test_cfg=dict(report=['bicubic', 'progressive']))
