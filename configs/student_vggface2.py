"""S w/o KD: the student trained without distillation, the paper's control.

    python tools/train.py configs/student_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/datasets/vggface2.py', '_base_/schedules/adam_300k.py',
    '_base_/runtime.py'
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
    test_cfg=dict(name='student_without_kd', bicubic=True))
