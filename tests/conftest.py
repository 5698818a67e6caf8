"""What every test may use."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

# One thread a process: the tests are small, and several may run side by side.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# A shell that starts the tests in the background has Ctrl+C ignored, by them and by the
# processes that they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / 'shared'


@pytest.fixture(scope='session')
def shared_faces() -> Path:
    """Real photographs in VGGFace2's layout; only where development keeps them."""
    return _shared('faces')


@pytest.fixture(scope='session')
def shared_faces_public() -> Path:
    """Those in the public domain, likewise."""
    return _shared('faces_public')


def _shared(name: str) -> Path:
    root = SHARED / name
    if not root.is_dir():
        pytest.skip(f'the real photographs of shared/{name} are not on this machine')
    return root


@pytest.fixture(scope='session', autouse=True)
def registered() -> None:
    """Every test sees the registries as a tool does."""
    from fdsr.registry import register_all
    register_all()


@pytest.fixture(scope='session', autouse=True)
def repeated_work() -> Iterator[None]:
    """Synthetic faces are rendered once, and the text of a config is not laid out.

    Together, these would take half of the time of a toy training. The tests of the
    synthetic faces themselves render each time.
    """
    import mmengine.config.config

    from fdsr.datasets import synthetic_faces
    render, rendered = synthetic_faces.render_portrait, {}

    def render_once(face, size, eye_share):
        key = (face.key, size, eye_share)
        if key not in rendered:
            if len(rendered) == 1000:
                rendered.clear()
            rendered[key] = render(face, size, eye_share)
        return tuple(array.copy() for array in rendered[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_faces, 'render_portrait', render_once)
        # yapf takes a quarter of a second
        patch.setattr(mmengine.config.config, 'FormatCode',
                      lambda text, **options: (text, True))
        yield


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test draws the same numbers each time, whatever ran before it."""
    import torch
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
