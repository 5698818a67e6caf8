"""Distils the demo's teacher on synthetic faces: 8 to 64 px, adversarial features.

    python tools/train.py configs/demo/distill.py

Train configs/demo/teacher.py first: its checkpoint is the teacher. The student starts
from the teacher's decoder, so that it needs minutes only.
"""
_base_ = [
    '../_base_/models/distiller_quarter.py', '../_base_/datasets/synthetic_faces.py',
    '../_base_/schedules/linear_decay.py', '../_base_/runtime.py'
]
adam = dict(type='Adam', betas=(0.5, 0.999), fused=True)

model = dict(
    teacher=dict(
        checkpoint='work_dirs/demo/teacher/iter_90.pth',
        expect=dict(
            type='fdsr.DictionaryTeacher', size=64, eye_share=0.3125,
            **_base_.network)),
    init_from='teacher',
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='decoder.to_rgb:input',
            # Trains the discriminator alone for the first iterations.
            loss_weight=[(0, 0.0), (20, 1.0)])
    ],
    discriminator=dict(base_channels=32, depth=3),
    # Compares two faces of each batch: a quarter of the cost.
    perceptual_loss=dict(faces=2))
train_cfg = dict(max_iters=60)
optim_wrapper = dict(
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(type='OptimWrapper', optimizer=dict(lr=5e-4, **adam)),
    discriminator=dict(type='OptimWrapper', optimizer=dict(lr=1e-4, **adam)))
param_scheduler = dict(begin=30, end=60)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=30, max_keep_ckpts=1))
# The demo tests the final network only.
val_cfg = val_dataloader = val_evaluator = None
