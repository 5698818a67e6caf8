"""Aligned faces at 256 px, ×8, FFHQ's template; 40 random identities validate."""
_base_ = 'vggface2_128_aligned.py'

data_root = 'data/faces_public'
size = 256
eye_share = 0.243
faces = dict(
    data_root=data_root, size=size, eye_share=eye_share, min_box_side=90)

train_dataloader = dict(dataset=dict(val_identities=40, val_seed=0, **faces))
val_dataloader = dict(dataset=dict(val_identities=40, val_seed=0, **faces))
test_dataloader = dict(dataset=faces)
