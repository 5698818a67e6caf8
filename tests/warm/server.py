"""Imports modules, then forks a process for each client; see ``tests.warm``."""

import atexit
import contextlib
import gc
import importlib
import json
import multiprocessing.spawn  # noqa: F401  keeps the path of the real interpreter
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import threading
import traceback
import types
from pathlib import Path

_COMMAND = sys.argv[1]


def serve(path: str, modules: list[str]) -> None:
    """Serves until something is written to the standard input, or it is closed."""
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    events = selectors.DefaultSelector()
    events.register(sys.stdin, selectors.EVENT_READ)
    events.register(listener, selectors.EVENT_READ, lambda: _accept(events, listener))
    print('ready', flush=True)
    while True:
        key, _ = events.select()[0]
        if key.data is None:
            return
        key.data()


def _accept(events: selectors.BaseSelector, listener: socket.socket) -> None:
    """Forks for a client."""
    client, _ = listener.accept()
    length, streams, *_ = socket.recv_fds(client, 8, 3)
    with client.makefile('rb') as file:
        request = json.loads(file.read(int.from_bytes(length, 'big')))
    pid = os.fork()
    if pid == 0:
        events.close()
        listener.close()
        _become(client, streams, **request)
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(pid)

    def check() -> None:
        if os.waitid(os.P_PIDFD, ended, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            os.kill(pid, signal.SIGKILL)  # as its client was
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):
            client.sendall(f'{status}\n'.encode())
        events.unregister(client)
        events.unregister(ended)
        client.close()
        os.close(ended)

    # one of a client that ended and a process that ended is enough
    events.register(client, selectors.EVENT_READ, check)
    events.register(ended, selectors.EVENT_READ, check)


def _become(client: socket.socket, streams: list[int], arguments: list[str],
            folder: str, environment: dict[str, str], ignored: list[int]) -> None:
    """Becomes the client's process; never returns."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
            os.close(stream)
        known = os.environ.get('PYTHONPATH', '').split(os.pathsep)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.executable = _COMMAND
        tempfile.tempdir = None  # TMPDIR may be another
        sys.path[1:1] = [entry for entry in environment.get('PYTHONPATH', '').split(
            os.pathsep) if entry not in known]
        client.sendall(f'{os.getpid()}\n'.encode())
        client.close()
        status = _status_of(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _status_of(arguments: list[str]) -> int:
    """Runs what the arguments name; returns the exit status."""
    kind, *rest = arguments = arguments[arguments[0] == '-u':]
    try:
        if kind == '-c':
            sys.path[0], sys.argv = '', ['-c', *rest[1:]]
            sys.modules['__main__'] = types.ModuleType('__main__')
            exec(compile(rest[0], '<string>', 'exec'), vars(sys.modules['__main__']))
        elif kind == '-m':
            sys.path[0], sys.argv = os.getcwd(), rest
            runpy.run_module(rest[0], run_name='__main__', alter_sys=True)
        else:
            sys.path[0], sys.argv = os.path.dirname(os.path.abspath(kind)), arguments
            runpy.run_path(kind, run_name='__main__')
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xff
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == '__main__':
    serve(sys.argv[2], sys.argv[3:])
