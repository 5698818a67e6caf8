"""The student without distillation: the teacher's encoder-decoder, no dictionary."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DistilledStudent',
        scale=8,
        layout='B',
        encoder=dict(arch='vgg19', pretrained='imagenet')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=100.0),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg19'),
    test_cfg=dict(report=['bicubic', 'student_without_kd']))
