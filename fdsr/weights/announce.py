"""Saying aloud that random values stand where trained ones should."""

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Iterator

_WEIGHTS_FOLLOW: ContextVar[bool] = ContextVar('weights_follow', default=False)


@contextmanager
def weights_follow() -> Iterator[None]:
    """Within it, networks are built to be filled from a file: nothing to announce."""
    token = _WEIGHTS_FOLLOW.set(True)
    try:
        yield
    finally:
        _WEIGHTS_FOLLOW.reset(token)


def weights_are_to_follow() -> bool:
    """Whether what is built now is going to be filled from a file."""
    return _WEIGHTS_FOLLOW.get()


def announce_random(what: str) -> None:
    """Warns loudly that something which should be trained is random.

    Args:
        what: what it is and where it sits, e.g. 'vgg16 up to relu4_3'.
    """
    if _WEIGHTS_FOLLOW.get():
        return
    message = (
        f'RANDOM WEIGHTS: {what}: random values stand in for trained ones. This is for '
        'tests of the code alone; results made with it mean nothing.')
    try:
        from mmengine.logging import print_log
    except ImportError:
        logging.getLogger('fdsr').warning(message)
    else:
        print_log(message, logger='current', level=logging.WARNING)
