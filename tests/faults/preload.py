"""Imports what the tools import, so that a forked tool starts in milliseconds."""

import contextlib
import importlib
import os
from collections.abc import Sequence

MODULES = (
    'matplotlib.pyplot', 'matplotlib.backends.backend_agg', 'pandas', 'sklearn.cluster',
    'scipy.sparse.csgraph', 'joblib', 'lmdb', 'onnx', 'tqdm',
    'torch.onnx', 'torch.utils.data', 'fdsr.apis',
    'fdsr.cli.restoring', 'fdsr.engine.config', 'fdsr.engine.launch',
    'fdsr.preparation.dictionary.from_config', 'fdsr.preparation.faces.prepare',
    'fdsr.preparation.landmarks.extraction',
    'fdsr.preparation.landmarks.landmark_files', 'fdsr.landmarks.choosing',
    'fdsr.interchange.conversion', 'fdsr.interchange.export',
    'fdsr.interchange.publishing')


def preload(modules: Sequence[str] = MODULES) -> None:
    """Imports the modules of the tools.

    Raises:
        RuntimeError: one of them has started a thread, which a fork would lose.
    """
    from PIL import Image

    from fdsr.registry import register_all
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    Image.init()
    register_all()
    threads = len(os.listdir('/proc/self/task'))
    if threads > 1:
        raise RuntimeError(f'{threads - 1} threads run, so this process cannot be '
                           'forked safely: set OMP_NUM_THREADS=1.')
