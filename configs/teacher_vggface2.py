"""Trains the teacher at full size, 32 to 256 px.

The encoder is VGG-19; the dictionary has 512 atoms per component and level.

    python tools/build_dictionary.py configs/teacher_vggface2.py \
        --data-root data/vggface2 --max-faces 10000 --num-atoms 512 \
        --out work_dirs/dictionary_vggface2.safetensors
    python tools/train.py configs/teacher_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/models/teacher.py', '_base_/datasets/vggface2.py',
    '_base_/schedules/adam_300k.py', '_base_/runtime.py'
]

model = dict(
    generator=dict(
        size=256,
        dictionary=dict(
            file='work_dirs/dictionary_vggface2.safetensors', dtype='float16')))
