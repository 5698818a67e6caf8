"""Metrics, the evaluator that applies them to several models, and the protocol."""

from fdsr.evaluation.evaluator import FaceEvaluator
from fdsr.evaluation.fid import FID
from fdsr.evaluation.identity import IdentitySimilarity
from fdsr.evaluation.lpips import LPIPS
from fdsr.evaluation.metric_info import MetricInfo, info_of, metric_info

__all__ = ['FID', 'LPIPS', 'FaceEvaluator', 'IdentitySimilarity', 'MetricInfo',
           'info_of', 'metric_info']
