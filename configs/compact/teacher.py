"""Trains the teacher of ``compact`` on a CPU: 32 to 256 px, VGG-16.

    python tools/build_dictionary.py configs/compact/teacher.py \
        --data-root data/faces_public --num-atoms 64 \
        --out work_dirs/compact/dictionary.safetensors
    python tools/train.py configs/compact/teacher.py --data-root data/faces_public
"""
_base_ = [
    '../_base_/models/teacher_quarter.py',
    '../_base_/datasets/faces_public_256_aligned.py',
    '../_base_/schedules/linear_decay.py', '../_base_/runtime.py'
]

iterations = 1600
model = dict(
    generator=dict(
        size=256,
        eye_share=0.243,
        dictionary=dict(file='work_dirs/compact/dictionary.safetensors')),
    # Compares a quarter of each image: an iteration takes seconds, not a minute.
    perceptual_loss=dict(window=128))
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_iters=iterations, val_interval=400)
param_scheduler = dict(begin=iterations // 2, end=iterations)
optim_wrapper = dict(
    type='fdsr.AutocastOptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=2), logger=dict(interval=25))
