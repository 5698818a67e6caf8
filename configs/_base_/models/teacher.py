"""The teacher: DFDNet's dictionary network, layout B, VGG-19.

A config adds the image size, the dictionary and the loss weights.
"""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DictionaryTeacher',
        scale=8,
        layout='B',
        encoder=dict(arch='vgg19', pretrained='imagenet')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg19'),
    test_cfg=dict(name='teacher', bicubic=True))
