"""The distillation: a student, a discriminator of features, DFDNet's losses.

A config adds the teacher's checkpoint and the feature losses.
"""
# The teacher has the same encoder-decoder: `expect=dict(**_base_.network, ...)`.
network = dict(scale=8, layout='B', encoder=dict(arch='vgg19', pretrained='imagenet'))

model = dict(
    type='fdsr.FeatureDistiller',
    student=dict(type='fdsr.DistilledStudent', **network),
    discriminator=dict(type='fdsr.FeatureDiscriminator', depth=4, norm='batch'),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=100.0),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg19'),
    test_cfg=dict(report=['bicubic', 'student', 'teacher']))
