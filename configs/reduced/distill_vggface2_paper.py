"""The paper's distillation for one CPU.

    python tools/train.py configs/reduced/distill_vggface2_paper.py \
        --data-root data/faces

The teacher's checkpoint comes from configs/reduced/teacher_vggface2.py.
"""
_base_ = [
    '../_base_/datasets/vggface2_128_aligned.py', '../_base_/schedules/distill_500.py',
    '../_base_/runtime.py'
]
network = dict(
    scale=8,
    layout='B',
    encoder=dict(arch='vgg16', pretrained='imagenet'),
    width=0.25)

model = dict(
    type='fdsr.DictionaryDistiller',
    student=dict(type='fdsr.DistilledStudent', **network),
    teacher=dict(
        checkpoint='work_dirs/reduced/teacher_vggface2/iter_500.pth',
        expect=dict(
            type='fdsr.DictionaryTeacher', size=128, eye_share=0.3125, **network)),
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='decoder.to_rgb:input',
            loss_weight=[(0, 0.0), (100, 1.0)])
    ],
    discriminator=dict(type='fdsr.FeatureDiscriminator', depth=4, norm='batch'),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16'),
    # less than DFDNet's 1: in so few iterations they would win over the pixels
    loss_weights=dict(pixel=100.0, perceptual=0.1, adversarial=0.1),
    test_cfg=dict(report=['bicubic', 'student', 'teacher']))
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
