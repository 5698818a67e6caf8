"""The teacher: DFDNet's dictionary network, layout B, VGG-19.

A config adds the image size and the dictionary.
"""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DictionaryTeacher',
        scale=8,
        layout='B',
        encoder=dict(arch='vgg19', pretrained='imagenet')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=100.0),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg19'),
    test_cfg=dict(report=['bicubic', 'teacher']))
