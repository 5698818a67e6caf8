"""States of the random generators as plain values."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_states() -> dict[str, Any]:
    """Returns the states of Python's, numpy's and torch's generators."""
    version, words, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()
    return dict(
        python=[version, list(words), gauss], numpy=[kind, keys.tolist(), *rest],
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])


def set_random_states(states: dict[str, Any]) -> None:
    """Sets the states that ``random_states`` returned."""
    version, words, gauss = states['python']
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = states['numpy']
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu().to(torch.uint8))
    if states['cuda'] and len(states['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states['cuda']])


@contextmanager
def same_random_states_after() -> Iterator[None]:
    """Restores the states at the end of the block, whatever the block draws."""
    states = random_states()
    try:
        yield
    finally:
        set_random_states(states)
