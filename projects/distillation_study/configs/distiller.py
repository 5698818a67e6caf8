"""Settings of all distilled arms; a config adds the feature losses."""
_base_ = ['../../../configs/_base_/models/distiller_quarter.py', 'base.py']

model = dict(
    teacher=dict(checkpoint='work_dirs/study/teachers/teacher.pth'),
    discriminator=dict(base_channels=32),
    perceptual_loss=dict(faces=2),
    test_cfg=dict(report=['student']))
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(
        type='fdsr.AutocastOptimWrapper',
        optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999))))
