"""S w/o KD: the control of every distillation."""
_base_ = 'base.py'

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DistilledStudent', scale=8, layout='B', width=0.25,
        encoder=dict(arch='vgg16', pretrained='imagenet')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16', faces=2),
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(name='student'))
optim_wrapper = dict(
    type='fdsr.AutocastOptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
