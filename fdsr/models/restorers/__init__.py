"""Models that the runner trains and tests: backbones with their losses."""

from fdsr.models.data_preprocessor import FacePreprocessor
from fdsr.models.restorers.face_restorer import FaceRestorer
from fdsr.models.restorers.face_tester import FaceTester
from fdsr.models.restorers.feature_distiller import FeatureDistiller
from fdsr.models.restorers.heatmap_teachers import DetectorHeatmaps, FANHeatmaps
from fdsr.models.restorers.landmark_distiller import LandmarkDistiller
from fdsr.models.restorers.progressive_restorer import ProgressiveRestorer

__all__ = ['DetectorHeatmaps', 'FANHeatmaps', 'FacePreprocessor', 'FaceRestorer',
           'FaceTester', 'FeatureDistiller', 'LandmarkDistiller',
           'ProgressiveRestorer']
