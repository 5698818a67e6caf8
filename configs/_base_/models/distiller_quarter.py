"""The distillation for a CPU: VGG-16, decoders of a quarter of DFDNet's width."""
_base_ = 'distiller.py'

network = dict(encoder=dict(arch='vgg16'), width=0.25)

model = dict(
    student=network,
    # With DFDNet's weight of 1, the perceptual loss outweighs the pixel loss in
    # short runs.
    perceptual_loss=dict(encoder='vgg16', loss_weight=0.1))
