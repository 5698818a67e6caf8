"""The student, alone, for faces that are blurred, noisy and compressed.

    python tools/train.py configs/extra/student_blind_vggface2.py \
        --data-root data/vggface2

S w/o KD with the blind degradation of its data set's config in the place of bicubic
÷8. Another one:

    --cfg-options train_dataloader.dataset.pipeline.2.steps=dfdnet \
        val_dataloader.dataset.pipeline.1.steps=dfdnet \
        test_dataloader.dataset.pipeline.1.steps=dfdnet
"""
_base_ = [
    '../_base_/datasets/vggface2_blind.py', '../_base_/schedules/adam_300k.py',
    '../_base_/runtime.py'
]

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DistilledStudent',
        scale=8,
        layout='B',
        encoder=dict(arch='vgg19', pretrained='imagenet')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg19'),
    loss_weights='dfdnet',
    test_cfg=dict(name='student_blind', bicubic=True))
