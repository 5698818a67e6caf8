"""Trains RCAN (Zhang et al., ECCV 2018), a baseline, ×8.

    python tools/train.py configs/rcan_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/models/rcan.py', '_base_/datasets/vggface2.py',
    '_base_/schedules/sr_300k.py', '_base_/runtime.py'
]

train_dataloader = dict(batch_size=16)
