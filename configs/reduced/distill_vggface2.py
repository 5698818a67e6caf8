"""The recommended distillation for one CPU.

    python tools/train.py configs/reduced/distill_vggface2.py --data-root data/faces

The teacher's checkpoint comes from configs/reduced/teacher_vggface2.py.
"""
_base_ = 'distill_vggface2_paper.py'

model = dict(init_from='teacher')
