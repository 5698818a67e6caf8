"""A student and a teacher: the paper's adversarial features, which arms change."""
_base_ = 'base.py'

model = dict(
    type='fdsr.FeatureDistiller',
    student=dict(
        type='fdsr.DistilledStudent', scale=8, layout='B', width=0.25,
        encoder=dict(arch='vgg16', pretrained='imagenet')),
    teacher=dict(checkpoint='work_dirs/study/teachers/teacher.pth'),
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='decoder.to_rgb:input',
            loss_weight=[(0, 0.0), (200, 1.0)])
    ],
    discriminator=dict(
        type='fdsr.FeatureDiscriminator', base_channels=32, depth=4, norm='batch'),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16', faces=2),
    loss_weights=dict(pixel=100.0, perceptual=0.1, adversarial=0.1),
    test_cfg=dict(report=['student']))
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(
        type='fdsr.AutocastOptimWrapper',
        optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999))),
    # a tenth of the student's rate
    discriminator=dict(
        type='fdsr.AutocastOptimWrapper',
        optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))))
