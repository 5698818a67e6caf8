"""The packages that the server of ``tests.warm`` imports for most tests."""

import multiprocessing.spawn  # noqa: F401  it keeps the path of the real interpreter

import cv2  # noqa: F401
import torch.distributed  # noqa: F401
import torch.utils.data  # noqa: F401

import fdsr.engine.config  # noqa: F401
import fdsr.engine.launch  # noqa: F401
import fdsr.evaluation.testing  # noqa: F401
import fdsr.preparation.dictionary.from_config  # noqa: F401
from fdsr.registry import register_all

register_all()
