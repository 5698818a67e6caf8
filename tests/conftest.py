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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the files that take longest, so that all processes end together."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)  # stable


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
    """Trainings skip what no result depends on."""
    from tests.repeated_work import avoid_repeated_work
    with pytest.MonkeyPatch.context() as patch:
        avoid_repeated_work(patch)
        yield


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test draws the same numbers each time, whatever ran before it."""
    import torch
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
