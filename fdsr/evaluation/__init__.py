"""Metrics, the evaluator that applies them to several models, and their protocol."""

from fdsr.evaluation.evaluator import FaceEvaluator
from fdsr.evaluation.lpips import LPIPS

__all__ = ['LPIPS', 'FaceEvaluator']
