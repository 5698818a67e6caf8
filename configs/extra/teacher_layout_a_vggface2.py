"""The teacher with the encoder taps of DFDNet's release (layout A), at 256 px.

    python tools/build_dictionary.py configs/extra/teacher_layout_a_vggface2.py \
        --data-root data/vggface2 --max-faces 10000 --num-atoms 512 \
        --out work_dirs/dictionary_layout_a_vggface2.safetensors
    python tools/train.py configs/extra/teacher_layout_a_vggface2.py \
        --data-root data/vggface2

Its maps have half the resolution of layout B's: 113.3 instead of 71.4 million
parameters, and atoms of half the side.
"""
_base_ = '../teacher_vggface2.py'

model = dict(
    generator=dict(
        layout='A',
        dictionary=dict(file='work_dirs/dictionary_layout_a_vggface2.safetensors')),
    test_cfg=dict(report=['bicubic', 'teacher_layout_a']))
