"""The dictionary teacher distilled into RCAN: no dictionary, no landmarks, no VGG.

    python tools/train.py configs/extra/distill_rcan_vggface2.py \
        --data-root data/vggface2

RCAN's features have a basis of their own, so they pass a learned 1×1 convolution
before the discriminator sees them.
"""
_base_ = '../distill_vggface2_paper.py'

model = dict(
    student=dict(_delete_=True, type='fdsr.RCAN', scale=8),
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='to_rgb:input',
            connector=True,
            loss_weight=[(0, 0.0), (5000, 1.0)])
    ])
# RCAN diverges now and then
optim_wrapper = dict(
    student=dict(optimizer=dict(lr=1e-4), clip_grad=dict(max_norm=1.0)))
