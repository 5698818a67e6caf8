"""Trains with an image discriminator of the same size, without the teacher's features.

Shows how much an adversarial loss alone contributes.
"""
_base_ = 'distill.py'

model = dict(feature_losses=[
    dict(type='fdsr.AdversarialImageLoss', loss_weight=[(0, 0.0), (200, 0.1)])
])
