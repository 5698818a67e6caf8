"""Metrics, the evaluator that applies them to several models, and their protocol."""

from fdsr.evaluation.evaluator import FaceEvaluator
from fdsr.evaluation.fid import FID
from fdsr.evaluation.identity import IdentitySimilarity
from fdsr.evaluation.lpips import LPIPS

__all__ = ['FID', 'LPIPS', 'FaceEvaluator', 'IdentitySimilarity']
