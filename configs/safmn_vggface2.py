"""Trains SAFMN (Sun et al., ICCV 2023), an efficient baseline, ×8.

    python tools/train.py configs/safmn_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/models/safmn.py', '_base_/datasets/vggface2.py',
    '_base_/schedules/sr_300k.py', '_base_/runtime.py'
]

train_dataloader = dict(batch_size=16)
