"""VGGFace2 at 256 px, ×8, blind degradation: GFPGAN's blur, size, noise and JPEG."""
_base_ = 'vggface2.py'

degradation = dict(type='fdsr.BlindDegradation', steps='gfpgan', scale=8)
pack = dict(type='mmagic.PackInputs', meta_keys=['name'], data_keys=['boxes'])
pipeline = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.ComponentBoxes'), degradation, pack
]
# With a seed, the degradation of a face depends on its name alone.
test_pipeline = [
    dict(type='fdsr.ComponentBoxes'),
    dict(seed=0, **degradation), pack
]

train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
