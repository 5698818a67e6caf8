"""Warnings about random weights in place of trained ones."""

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Iterator

_WEIGHTS_FOLLOW: ContextVar[bool] = ContextVar('weights_follow', default=False)


@contextmanager
def weights_follow() -> Iterator[None]:
    """Suppresses ``announce_random`` for networks that a file is loaded into."""
    token = _WEIGHTS_FOLLOW.set(True)
    try:
        yield
    finally:
        _WEIGHTS_FOLLOW.reset(token)


def weights_are_to_follow() -> bool:
    """Returns True inside of ``weights_follow``."""
    return _WEIGHTS_FOLLOW.get()


def announce_random(what: str) -> None:
    """Logs a warning that weights are random.

    Args:
        what: the affected module, e.g. 'vgg16 up to relu4_3'.
    """
    if _WEIGHTS_FOLLOW.get():
        return
    from mmengine.logging import print_log
    print_log(f'RANDOM WEIGHTS: {what} is not trained. Use it only to test the code; '
              'its results are meaningless.', logger='current', level=logging.WARNING)
