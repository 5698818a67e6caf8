"""The paper: a student distilled from the teacher by adversarial features.

    python tools/train.py configs/distill_vggface2_paper.py --data-root data/vggface2

The teacher's checkpoint comes from configs/teacher_vggface2.py.
"""
_base_ = [
    '_base_/datasets/vggface2.py', '_base_/schedules/distill_300k.py',
    '_base_/runtime.py'
]
network = dict(scale=8, layout='B', encoder=dict(arch='vgg19', pretrained='imagenet'))

model = dict(
    type='fdsr.DictionaryDistiller',
    student=dict(type='fdsr.DistilledStudent', **network),
    teacher=dict(
        checkpoint='work_dirs/teacher_vggface2/iter_300000.pth',
        expect=dict(type='fdsr.DictionaryTeacher', size=256, **network)),
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='decoder.to_rgb:input',
            # the discriminator gets a start before the student listens to it
            loss_weight=[(0, 0.0), (5000, 1.0)])
    ],
    discriminator=dict(type='fdsr.FeatureDiscriminator', depth=4, norm='batch'),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg19'),
    loss_weights='dfdnet',
    test_cfg=dict(report=['bicubic', 'student', 'teacher']))
