"""The demo's distillation: drawn faces, adversarial features.

    python tools/train.py configs/demo/distill.py

The teacher's checkpoint comes from configs/demo/teacher.py. To be ready in minutes the
student starts from the teacher's decoder; the paper's starts from scratch.
"""
_base_ = ['../_base_/datasets/synthetic_faces.py', '../_base_/runtime.py']
network = dict(
    scale=8,
    layout='B',
    encoder=dict(arch='vgg16', pretrained='imagenet'),
    width=0.25)
adam = dict(type='Adam', betas=(0.5, 0.999), fused=True)

model = dict(
    type='fdsr.DictionaryDistiller',
    student=dict(type='fdsr.DistilledStudent', **network),
    teacher=dict(
        checkpoint='work_dirs/demo/teacher/iter_90.pth',
        expect=dict(
            type='fdsr.DictionaryTeacher', size=64, eye_share=0.3125, **network)),
    init_from='teacher',
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='decoder.to_rgb:input',
            # the discriminator gets a start before the student listens to it
            loss_weight=[(0, 0.0), (20, 1.0)])
    ],
    discriminator=dict(
        type='fdsr.FeatureDiscriminator', base_channels=32, depth=3, norm='batch'),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    # of each batch, two faces are compared: a quarter of the cost
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16', faces=2),
    # less than DFDNet's 1: in so few iterations it would win over the pixels
    loss_weights=dict(pixel=100.0, perceptual=0.1),
    test_cfg=dict(report=['bicubic', 'student', 'teacher']))
train_cfg = dict(type='fdsr.ExactTrainLoop', max_iters=60)
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(type='OptimWrapper', optimizer=dict(lr=5e-4, **adam)),
    discriminator=dict(type='OptimWrapper', optimizer=dict(lr=1e-4, **adam)))
# without the decay, the last steps cost a few tenths of a dB
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.05, by_epoch=False, begin=30,
    end=60)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=30, max_keep_ckpts=1))
# The test at the end is enough.
val_cfg = val_dataloader = val_evaluator = None
