"""Trains the teacher on a CPU, 16 to 128 px.

The encoder is VGG-16; the dictionary has 64 atoms per component and level.

    python tools/build_dictionary.py configs/reduced/teacher_vggface2.py \
        --data-root data/faces --num-atoms 64 \
        --out work_dirs/dictionary_reduced.safetensors
    python tools/train.py configs/reduced/teacher_vggface2.py --data-root data/faces
"""
_base_ = [
    '../_base_/models/teacher_quarter.py', '../_base_/datasets/vggface2_128_aligned.py',
    '../_base_/schedules/adam_500.py', '../_base_/runtime.py'
]

model = dict(
    generator=dict(
        size=128,
        eye_share=0.3125,
        dictionary=dict(file='work_dirs/dictionary_reduced.safetensors')))
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
