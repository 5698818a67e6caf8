"""Trains SRVGG (Wang et al., ICCVW 2021), an efficient baseline, ×8.

    python tools/train.py configs/srvgg_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/models/srvgg.py', '_base_/datasets/vggface2.py',
    '_base_/schedules/sr_300k.py', '_base_/runtime.py'
]

train_dataloader = dict(batch_size=16)
