"""VGGFace2 at 256 px, ×8: loose crops, boxes from HR landmarks."""
data_root = 'data/vggface2'
scale = 8
size = 256
faces = dict(type='fdsr.VGGFace2Dataset', data_root=data_root, size=size)

pipeline = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.ComponentBoxes'),
    dict(type='fdsr.DownsampleToLR', scale=scale),
    dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])
]
test_pipeline = pipeline[1:]
loader = dict(
    batch_size=8, num_workers=4, collate_fn=dict(type='fdsr.collate_samples'))
in_order = dict(type='DefaultSampler', shuffle=False)

train_dataloader = dict(
    persistent_workers=True,
    sampler=dict(type='fdsr.EpochSampler'),
    dataset=dict(
        split='train', part='train', min_box_side=128, pipeline=pipeline, **faces),
    **loader)
val_dataloader = dict(
    persistent_workers=True,
    sampler=in_order,
    dataset=dict(
        split='train', part='val', min_box_side=200, subset=500, test_mode=True,
        pipeline=test_pipeline, **faces),
    **loader)
test_dataloader = dict(
    sampler=in_order,
    dataset=dict(
        split='test', min_box_side=200, subset=2000, test_mode=True,
        pipeline=test_pipeline, **faces),
    **loader)
