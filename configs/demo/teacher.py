"""Trains the demo's teacher on synthetic faces, 8 to 64 px.

The encoder is VGG-16; the dictionary has 32 atoms per component and level.

    python tools/build_dictionary.py configs/demo/teacher.py --num-atoms 32 \
        --out work_dirs/demo/dictionary.safetensors
    python tools/train.py configs/demo/teacher.py
"""
_base_ = [
    '../_base_/models/teacher_quarter.py', '../_base_/datasets/synthetic_faces.py',
    '../_base_/schedules/linear_decay.py', '../_base_/runtime.py'
]

model = dict(
    generator=dict(
        size=64,
        eye_share=0.3125,
        dictionary=dict(file='work_dirs/demo/dictionary.safetensors')),
    # Compares two faces of each batch: a quarter of the cost.
    perceptual_loss=dict(faces=2))
train_cfg = dict(max_iters=90)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999), fused=True))
param_scheduler = dict(begin=45, end=90)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=30, max_keep_ckpts=1))
# The demo tests the final network only.
val_cfg = val_dataloader = val_evaluator = None
