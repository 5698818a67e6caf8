"""The paper's distillation with a regularised discriminator.

    python tools/train.py configs/extra/distill_regularised_vggface2.py \
        --data-root data/vggface2

The discriminator takes features with normalized channels and has a gradient penalty
(R1, Mescheder et al. 2018). It has no batch norm, because the penalty needs scores that
depend on one sample only.
"""
_base_ = '../distill_vggface2_paper.py'

model = dict(
    feature_losses=[
        dict(
            type='fdsr.AdversarialFeatureLoss',
            teacher='decoder.to_rgb:input',
            student='decoder.to_rgb:input',
            normalize='channel',
            r1=1.0,
            loss_weight=[(0, 0.0), (5000, 1.0)])
    ],
    discriminator=dict(norm='none'))
