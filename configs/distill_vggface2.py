"""The recommended distillation: the paper's, started from the teacher's decoder.

    python tools/train.py configs/distill_vggface2.py --data-root data/vggface2

docs/study.md tells why. The teacher's checkpoint comes from
configs/teacher_vggface2.py.
"""
_base_ = 'distill_vggface2_paper.py'

model = dict(init_from='teacher')
