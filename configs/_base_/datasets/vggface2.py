"""VGGFace2 at 256 px, ×8: loose crops, HR landmarks."""
data_root = 'data/vggface2'
scale = 8
size = 256

pipeline = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.ComponentBoxes'),
    dict(type='fdsr.DownsampleToLR', scale=scale),
    dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])
]
test_pipeline = pipeline[1:]

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='fdsr.EpochSampler'),
    collate_fn=dict(type='fdsr.collate_samples'),
    dataset=dict(
        type='fdsr.VGGFace2Dataset',
        data_root=data_root,
        split='train',
        part='train',
        size=size,
        min_box_side=128,
        pipeline=pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='fdsr.collate_samples'),
    dataset=dict(
        type='fdsr.VGGFace2Dataset',
        data_root=data_root,
        split='train',
        part='val',
        size=size,
        min_box_side=200,
        subset=500,
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=8,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='fdsr.collate_samples'),
    dataset=dict(
        type='fdsr.VGGFace2Dataset',
        data_root=data_root,
        split='test',
        size=size,
        min_box_side=200,
        subset=2000,
        test_mode=True,
        pipeline=test_pipeline))
