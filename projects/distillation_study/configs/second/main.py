"""Trains all arms of the main setting at once, on the robust mix."""
_base_ = 'robust.py'
custom_imports = dict(imports=[
    'projects.distillation_study.study.joint',
    'projects.distillation_study.study.labelled'
])

# For most arms, PartlyLabelledFaces is VGGFace2Dataset: they do not read has_hr.
pack = dict(
    type='mmagic.PackInputs', meta_keys=['name', 'has_hr'], data_keys=['boxes'])
train_dataloader = dict(dataset=dict(
    type='fdsr.PartlyLabelledFaces', num_labelled=300,
    pipeline=[*_base_.augment, _base_.degradation, pack]))

iterations = _base_.iterations
atoms = dict(type='fdsr.AtomLoss', tap='stages:input', loss_weight=0.1)
fading, warmed_up = [(0, 10.0), (iterations, 0.0)], [(0, 0.0), (400, 0.1)]
# The student's last features have 64 px, as the teacher's second stage.
last = dict(teacher='decoder.stages.1:output', student='to_rgb:input')
before = dict(teacher='decoder.stages.0:output', student='stages.0:output')
l1, gan = 'fdsr.FeatureL1Loss', 'fdsr.AdversarialFeatureLoss'
d = dict(type='fdsr.FeatureDiscriminator', base_channels=32, depth=4)
vgg = [dict(type='fdsr.AdversarialVGGLoss', loss_weight=warmed_up)]
output = [dict(type='fdsr.OutputLoss', loss_weight=50.0)]
half = dict(type='fdsr.PixelLoss', kind='mse', loss_weight=50.0)
arms = dict(
    plain=dict(),
    output=dict(pixel_loss=half, feature_losses=output),
    eco=dict(target=[(0, 1.0), (iterations, 0.0)]),
    feature_last=dict(feature_losses=[dict(type=l1, loss_weight=fading, **last)]),
    feature_stages=dict(feature_losses=[
        dict(type=l1, loss_weight=[(0, 5.0), (iterations, 0.0)], **taps)
        for taps in (before, last)]),
    adversarial=dict(
        feature_losses=[dict(type=gan, loss_weight=warmed_up, **last)],
        discriminator=d),
    adversarial_vgg=dict(feature_losses=vgg, discriminator=d),
    atoms=dict(atom_loss=atoms),
    atoms_vgg=dict(atom_loss=atoms, feature_losses=vgg, discriminator=d),
    # controls: HR in place of the teacher's output, random atoms
    hr_vgg=dict(feature_losses=[dict(vgg[0], teacher=None)], discriminator=d),
    atoms_random=dict(atom_loss=atoms, random_atoms=True),
    labelled=dict(target='labelled'),  # HR of 300 faces, the teacher labels all others
    afd=dict(
        peer=True, discriminator=d,
        feature_losses=[dict(type=gan, teacher='to_rgb:input', loss_weight=warmed_up)]))

model = dict(
    type='fdsr.JointStudents',
    student=dict(  # the arguments of configs/students/tiny_robust.py
        type='fdsr.RepSR', scale=8, channels=40, blocks=4, stage_channels=(24, 8),
        stage_blocks=(1, 1), context_channels=56, context_blocks=1),
    teacher=dict(checkpoint='work_dirs/study2/networks/teacher-s0.pth'),
    arms=arms,
    **_base_.losses)
adam = dict(type='Adam', lr=1e-3, betas=(0.9, 0.99))
adam_d = dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))
optim_wrapper = dict(constructor='fdsr.GroupOptimWrapperConstructor')
for name in [*arms, 'afd_peer']:
    optim_wrapper[f'{name}/student'] = dict(type=_base_.autocast, optimizer=adam)
    optim_wrapper[f'{name}/discriminator'] = dict(
        type=_base_.autocast, optimizer=adam_d)
