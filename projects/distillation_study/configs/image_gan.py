"""An image GAN of the same size: does the teacher help, or the adversarial loss?"""
_base_ = 'distill.py'

model = dict(feature_losses=[
    dict(type='fdsr.AdversarialImageLoss', loss_weight=[(0, 0.0), (200, 1.0)])
])
