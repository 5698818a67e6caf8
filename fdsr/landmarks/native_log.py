"""Suppression of the native log of MediaPipe and OpenCV."""

import os
import sys
import threading
from contextlib import contextmanager
from typing import Iterator

_LOCK = threading.RLock()


@contextmanager
def without_native_log() -> Iterator[None]:
    """Redirects standard error of the process to the null device inside of the block.

    The native libraries of MediaPipe write about a dozen lines there when a model is
    loaded and first used, ignoring Python and their own settings. Exceptions are still
    raised. Other threads wait.
    """
    with _LOCK:
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except (OSError, AttributeError, ValueError):  # no standard error
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
