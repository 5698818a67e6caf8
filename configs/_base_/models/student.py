"""The student without distillation: the teacher's encoder-decoder, no dictionary.

A config adds the loss weights.
"""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DistilledStudent',
        scale=8,
        layout='B',
        encoder=dict(arch='vgg19', pretrained='imagenet')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg19'),
    test_cfg=dict(name='student_without_kd', bicubic=True))
