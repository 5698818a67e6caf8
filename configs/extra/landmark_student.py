"""Distils FAN into a small heatmap network at 256 px.

    python tools/train.py configs/extra/landmark_student.py --data-root data/vggface2
    python tools/evaluate_landmarks.py configs/extra/landmark_student.py \
        work_dirs/extra/landmark_student/iter_20000.pth --data-root data/vggface2

The weights of FAN are those of the package face-alignment. Without them, append the
options below to use MediaPipe's landmarks; configs/reduced/landmark_student.py does so.

    --cfg-options model.teacher.network="{'type': 'fdsr.DetectorHeatmaps'}"
"""
_base_ = [
    '../_base_/models/landmark_distiller.py', '../_base_/datasets/vggface2.py',
    '../_base_/schedules/landmarks_800.py', '../_base_/runtime.py'
]

model = dict(
    student=dict(size=256, depth=4),
    teacher=dict(network=dict(
        _delete_=True, type='fdsr.FANHeatmaps',
        weights='weights/2DFAN4-cd938726ad.zip',
        # of VGGFace2's loose crops, on average
        eye_share=0.29)))
# The network takes HR.
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.hr_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.hr_pipeline[1:]))
val_dataloader = val_cfg = val_evaluator = None
train_cfg = dict(max_iters=20000)
param_scheduler = dict(begin=10000, end=20000)
