"""Feature L1, 10 to 0 over the run (KDFSRNet), in place of the adversarial loss."""
_base_ = 'distill.py'

model = dict(feature_losses=[
    dict(
        type='fdsr.FeatureL1Loss',
        teacher='decoder.to_rgb:input',
        student='decoder.to_rgb:input',
        loss_weight=[(0, 10.0), (2000, 0.0)])
])
optim_wrapper = dict(
    _delete_=True,
    constructor='fdsr.GroupOptimWrapperConstructor',
    student=dict(
        type='fdsr.AutocastOptimWrapper',
        optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999))))
