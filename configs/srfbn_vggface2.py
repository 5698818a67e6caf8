"""Trains SRFBN (Li et al., CVPR 2019), a baseline, ×8, in four steps.

    python tools/train.py configs/srfbn_vggface2.py --data-root data/vggface2
"""
_base_ = [
    '_base_/models/srfbn.py', '_base_/datasets/vggface2.py',
    '_base_/schedules/sr_300k.py', '_base_/runtime.py'
]

train_dataloader = dict(batch_size=16)
