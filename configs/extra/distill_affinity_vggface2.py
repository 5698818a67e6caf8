"""Distillation without a discriminator: affinity matrices and output images (FAKD).

    python tools/train.py configs/extra/distill_affinity_vggface2.py \
        --data-root data/vggface2

A baseline for the adversarial loss. The affinity loss compares the similarities
between positions, so teacher and student need no common basis of their features.
"""
_base_ = '../distill_vggface2_paper.py'

model = dict(feature_losses=[
    dict(type='fdsr.FeatureAffinityLoss', teacher='decoder.to_rgb:input'),
    dict(type='fdsr.FeatureL1Loss', teacher=':output')
])
