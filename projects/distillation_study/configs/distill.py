"""Distils by adversarial features, as in the paper."""
_base_ = 'distiller.py'

model = dict(feature_losses=[
    dict(
        type='fdsr.AdversarialFeatureLoss',
        teacher='decoder.to_rgb:input',
        student='decoder.to_rgb:input',
        loss_weight=[(0, 0.0), (200, 0.1)])
])
# A tenth of the student's learning rate.
optim_wrapper = dict(
    discriminator=dict(
        type='fdsr.AutocastOptimWrapper',
        optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))))
