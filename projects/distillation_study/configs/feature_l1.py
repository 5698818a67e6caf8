"""Distils by feature L1, whose weight falls from 10 to 0 over the run (KDFSRNet)."""
_base_ = 'distiller.py'

model = dict(feature_losses=[
    dict(
        type='fdsr.FeatureL1Loss',
        teacher='decoder.to_rgb:input',
        student='decoder.to_rgb:input',
        loss_weight=[(0, 10.0), (2000, 0.0)])
])
