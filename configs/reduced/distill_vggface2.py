"""Distils on a CPU, starting from the teacher's decoder: recommended.

    python tools/train.py configs/reduced/distill_vggface2.py --data-root data/faces

Train configs/reduced/teacher_vggface2.py first: its checkpoint is the teacher.
"""
_base_ = 'distill_vggface2_paper.py'

model = dict(init_from='teacher')
