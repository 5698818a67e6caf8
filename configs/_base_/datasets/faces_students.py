"""Aligned faces at 256 px, ×8, from two sets of photographs; LR by PIL's bicubic.

Random identities validate, 40 of each set. Faces are misaligned by what a detector
errs, and a few are tinted or grey, in LR and HR alike.
"""
size, scale, eye_share = 256, 8, 0.243
roots = ['data/faces_public', 'data/faces_open']
faces = dict(
    type='fdsr.VGGFace2Dataset', size=size, align='five_point', eye_share=eye_share,
    min_box_side=90)
train = [
    dict(data_root=root, split='train', part='train', val_identities=40, val_seed=0,
         jitter=dict(shift=0.03, angle=5.0), **faces) for root in roots
]
val = [
    dict(data_root=root, split='train', part='val', val_identities=40, val_seed=0,
         **faces) for root in roots
]
test = [dict(data_root=root, split='test', **faces) for root in roots]

pack = dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])
to_lr = dict(type='fdsr.DownsampleToLR', scale=scale)
augment = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.TintFace', gain=(0.8, 1.2), prob=0.2, grey=0.05),
    dict(type='fdsr.ComponentBoxes')
]
pipeline = [*augment, to_lr, pack]
test_pipeline = [dict(type='fdsr.ComponentBoxes'), to_lr, pack]

loader = dict(
    batch_size=8, num_workers=1, persistent_workers=True,
    collate_fn=dict(type='fdsr.collate_samples'))
in_order = dict(type='DefaultSampler', shuffle=False)
train_dataloader = dict(
    sampler=dict(type='fdsr.EpochSampler'),
    dataset=dict(type='fdsr.ConcatFaces', datasets=train, pipeline=pipeline,
                 name='students_train'),
    **loader)
val_dataloader = dict(
    sampler=in_order,
    dataset=dict(type='fdsr.ConcatFaces', datasets=val, pipeline=test_pipeline,
                 test_mode=True, name='students_val'),
    **loader)
test_dataloader = dict(
    sampler=in_order,
    dataset=dict(type='fdsr.ConcatFaces', datasets=test, pipeline=test_pipeline,
                 test_mode=True, name='students_test'),
    **loader)
