"""A real S3 interface on this machine (moto's server), and a proxy with faults."""

import contextlib
import itertools
import socket
import threading
import time


class FaultyProxy:
    """Forwards connections, and breaks or delays some of them.

    Args:
        port: port of the server on this machine.
        drop: every ``drop``-th connection is closed within its answer; 0: none.
        pause: seconds before the answer of every third connection.
    """

    def __init__(self, port, drop=0, pause=0.0):
        self.server, self.drop, self.pause = port, drop, pause
        self.dropped = self.paused = 0
        self._numbers = itertools.count(1)
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Ends the proxy."""
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client, next(self._numbers)),
                                 daemon=True).start()

    def _serve(self, client, number):
        with contextlib.suppress(OSError), client, socket.create_connection(
                ('127.0.0.1', self.server)) as server:
            threading.Thread(target=_copy, args=(client, server), daemon=True).start()
            if self.pause and number % 3 == 0:
                self.paused += 1
                time.sleep(self.pause)
            limit = 700 if self.drop and number % self.drop == 0 else None
            self.dropped += _copy(server, client, limit)


def _copy(source, target, limit=None):
    """Copies bytes; returns True if the limit ended it."""
    done = 0
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if limit is not None and done + len(data) > limit:
                target.sendall(data[:limit - done])
                return True
            target.sendall(data)
            done += len(data)
    return False
