"""Aligned faces at 128 px, ×8, for a CPU; the last 200 identities validate."""
data_root = 'data/faces'
scale = 8
size = 128
eye_share = 0.3125
faces = dict(
    type='fdsr.VGGFace2Dataset',
    data_root=data_root,
    size=size,
    align='five_point',
    eye_share=eye_share,
    min_box_side=128)

pipeline = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.ComponentBoxes'),
    dict(type='fdsr.DownsampleToLR', scale=scale),
    dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])
]
test_pipeline = pipeline[1:]
loader = dict(
    batch_size=8, num_workers=1, persistent_workers=True,
    collate_fn=dict(type='fdsr.collate_samples'))
in_order = dict(type='DefaultSampler', shuffle=False)

train_dataloader = dict(
    sampler=dict(type='fdsr.EpochSampler'),
    dataset=dict(split='train', part='train', pipeline=pipeline, **faces),
    **loader)
val_dataloader = dict(
    sampler=in_order,
    dataset=dict(
        split='train', part='val', test_mode=True, pipeline=test_pipeline, **faces),
    **loader)
test_dataloader = dict(
    sampler=in_order,
    dataset=dict(split='test', test_mode=True, pipeline=test_pipeline, **faces),
    **loader)
