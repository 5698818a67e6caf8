"""RepSR *small*, 1.1 GMACs from 32 to 256 px, with pixel loss, LPIPS and no grids."""
model = dict(
    type='fdsr.FaceRestorer',
    generator=dict(type='fdsr.RepSR', scale=8),
    pixel_loss=dict(type='fdsr.PixelLoss', kind='mse', loss_weight=100.0),
    # LPIPS of one window of 64 px of each face
    perceptual_loss=dict(type='fdsr.LPIPSLoss', window=64, loss_weight=4.0),
    extra_losses=dict(
        periodicity=dict(type='fdsr.PeriodicityLoss', period=8, loss_weight=2.0)),
    test_cfg=dict(report=['bicubic', 'student']))
