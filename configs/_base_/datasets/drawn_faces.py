"""Faces that the project draws itself, 64 px, ×8."""
scale = 8
size = 64
faces = dict(type='fdsr.DrawnFacesDataset', size=size)

pipeline = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.ComponentBoxes'),
    dict(type='fdsr.DownsampleToLR', scale=scale),
    dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])
]
test_pipeline = pipeline[1:]

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='fdsr.EpochSampler'),
    collate_fn=dict(type='fdsr.collate_samples'),
    dataset=dict(length=512, pipeline=pipeline, **faces))
val_dataloader = test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='fdsr.collate_samples'),
    dataset=dict(
        length=64, first=100000, test_mode=True, pipeline=test_pipeline, **faces))
