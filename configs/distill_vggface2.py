"""Distils as the paper does, but starts from the teacher's decoder: recommended.

    python tools/train.py configs/distill_vggface2.py --data-root data/vggface2

Train configs/teacher_vggface2.py first: its checkpoint is the teacher. docs/study.md
compares the two starts.
"""
_base_ = 'distill_vggface2_paper.py'

model = dict(init_from='teacher')
