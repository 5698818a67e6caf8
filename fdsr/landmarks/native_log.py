"""MediaPipe's native log, which says nothing that a user could act upon."""

import os
import sys
import threading
from contextlib import contextmanager
from typing import Iterator

_LOCK = threading.RLock()


@contextmanager
def without_native_log() -> Iterator[None]:
    """Lets nothing through to the process's standard error for a while.

    MediaPipe's libraries write a dozen lines there when a model is made and until it
    has found something, past Python and past every setting of theirs. Errors are
    raised and come through. One thread at a time.
    """
    with _LOCK:
        yield from _silenced()


def _silenced() -> Iterator[None]:
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError, ValueError):  # there is none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
