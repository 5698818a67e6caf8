"""Distils MediaPipe's landmarks into a small heatmap network, on a CPU, at 128 px.

    python tools/train.py configs/reduced/landmark_student.py --data-root data/faces
    python tools/evaluate_landmarks.py configs/reduced/landmark_student.py \
        work_dirs/reduced/landmark_student/iter_800.pth --data-root data/faces

configs/reduced/progressive_vggface2.py uses its heatmaps. It needs fdsr[landmarks].
"""
_base_ = [
    '../_base_/models/landmark_distiller.py',
    '../_base_/datasets/vggface2_128_aligned.py',
    '../_base_/schedules/landmarks_800.py', '../_base_/runtime.py'
]

# The network takes HR.
train_dataloader = dict(dataset=dict(pipeline=_base_.hr_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.hr_pipeline[1:]))
val_dataloader = val_cfg = val_evaluator = None
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
