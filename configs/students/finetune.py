"""Fine-tunes the bundled ``small`` on faces of your own, clean and degraded.

    python tools/train.py configs/students/finetune.py --data-root data/my_faces

The folder is in VGGFace2's layout, see docs/data.md; 10 of its people validate. Run it
in the root of the checkout, where the bundled weights are.
"""
_base_ = 'small_finetuned.py'

iterations = 2000
faces = dict(
    data_root='data/my_faces', split='train', val_identities=10, val_seed=0,
    **_base_.faces)
train_dataloader = dict(dataset=dict(
    _delete_=True, part='train', jitter=dict(shift=0.03, angle=5.0),
    pipeline=_base_.pipeline, **faces))
val_dataloader = dict(dataset=dict(
    _delete_=True, part='val', test_mode=True, pipeline=_base_.test_pipeline, **faces))
test_dataloader = val_dataloader
model = dict(init_from='fdsr/weights/shipped/small-789fa7fa.safetensors')
train_cfg = dict(max_iters=iterations, val_interval=500)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type='LinearLR', start_factor=1.0, end_factor=0.02, by_epoch=False,
         begin=iterations // 2, end=iterations)
]
optim_wrapper = dict(optimizer=dict(lr=3e-4))
