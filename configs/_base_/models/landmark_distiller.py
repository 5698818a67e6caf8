"""A small heatmap network and MediaPipe as its teacher: 68 points, 128 px."""
model = dict(
    type='fdsr.LandmarkDistiller',
    student=dict(type='fdsr.HeatmapNet', size=128),
    teacher=dict(network=dict(type='fdsr.DetectorHeatmaps')),
    # Heatmaps are almost everywhere 0, so their mean squared difference is small.
    feature_losses=[dict(type='fdsr.HeatmapLoss', loss_weight=1000.0)])

hr_pipeline = [
    dict(type='fdsr.FlipFace', prob=0.5),
    dict(type='fdsr.DownsampleToLR', scale=1),
    dict(type='mmagic.PackInputs', meta_keys=['name'])
]
