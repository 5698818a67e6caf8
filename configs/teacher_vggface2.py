"""The teacher at full size: 32 to 256 px, VGG-19, 512 atoms a part and level.

    python tools/build_dictionary.py configs/teacher_vggface2.py \
        --data-root data/vggface2 --max-faces 10000 --num-atoms 512 \
        --out work_dirs/dictionary_vggface2.pth
    python tools/train.py configs/teacher_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/datasets/vggface2.py', '_base_/schedules/adam_300k.py',
    '_base_/runtime.py'
]
encoder = dict(arch='vgg19', pretrained='imagenet')

model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(
        type='fdsr.DictionaryTeacher',
        size=256,
        scale=8,
        layout='B',
        encoder=encoder,
        dictionary=dict(file='work_dirs/dictionary_vggface2.pth', dtype='float16')),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse'),
    perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg19'),
    loss_weights='dfdnet',
    test_cfg=dict(name='teacher', bicubic=True))
