"""Synthetic faces at 64 px, ×8, rendered while training: no data needed."""
scale = 8
size = 64
faces = dict(type='fdsr.SyntheticFacesDataset', size=size)

pipeline = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.ComponentBoxes'),
    dict(type='fdsr.DownsampleToLR', scale=scale),
    dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])
]
test_pipeline = pipeline[1:]
loader = dict(batch_size=8, collate_fn=dict(type='fdsr.collate_samples'))

train_dataloader = dict(
    # one process renders while the other trains
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='fdsr.EpochSampler'),
    dataset=dict(length=512, pipeline=pipeline, **faces),
    **loader)
# Images are numbered: from 100,000 on, no identity is in the training set.
val_dataloader = test_dataloader = dict(
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        length=64, first=100000, test_mode=True, pipeline=test_pipeline, **faces),
    **loader)
