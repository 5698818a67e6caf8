"""A command like ``python`` whose processes have imported torch and fdsr already.

``subprocess.run([warm.python(), 'tools/train.py', ...])`` starts a process in
milliseconds instead of seconds: a server imports the packages once and forks for each
call. A process of it differs from one of ``sys.executable`` in its imports, its group
(signals to the caller's group are passed on) and its GPU, which is hidden. One test of
each tool starts a real interpreter.
"""

import atexit
import contextlib
import functools
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: What nearly every tool imports.
FDSR = ('tests.warm.packages',)
#: For tests of the imports of fdsr and mmagic: torch with the parts that mmengine and
#: torchvision import.
TORCH = ('torch', 'cv2', 'torch.distributed.optim', 'torch._dynamo.utils')
_FOLDER = Path(__file__).resolve().parent
_COMMAND = """#!/bin/sh
exec '{python}' -I -S '{client}' '{socket}' "$@"
"""


@functools.cache
def python(modules: tuple[str, ...] = FDSR) -> str:
    """Returns the command; the first call in a process starts the server.

    Args:
        modules: names of the modules that its processes have imported.
    """
    if not hasattr(os, 'pidfd_open'):  # not Linux
        return sys.executable
    folder = tempfile.TemporaryDirectory(prefix='fdsr_warm_')
    command, address = (Path(folder.name, name) for name in ('python', 'socket'))
    command.write_text(_COMMAND.format(
        python=sys.executable, client=_FOLDER / 'client.py', socket=address))
    command.chmod(0o700)
    server = subprocess.Popen(
        [sys.executable, _FOLDER / 'server.py', command, address, *modules],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True, env={
            **os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''})
    atexit.register(_stop, server, folder)
    assert server.stdout.readline() == b'ready\n'
    return str(command)


def _stop(server: subprocess.Popen, folder: tempfile.TemporaryDirectory) -> None:
    server.communicate(b'end')  # a forked process may keep its input open
    folder.cleanup()


def run_ranks(*arguments: object, ranks: int = 2, **environment: str) -> None:
    """Runs processes that find each other as torchrun's do; all must succeed.

    Args:
        arguments: those of ``python``.
        ranks: number of processes.
        environment: further variables.
    """
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    variables = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1',
                 'WORLD_SIZE': str(ranks), 'MASTER_ADDR': '127.0.0.1',
                 'MASTER_PORT': str(port), **environment}
    with tempfile.TemporaryFile('w+') as log, contextlib.ExitStack() as stack:
        processes = [subprocess.Popen(
            [python(), *map(str, arguments)], cwd=_FOLDER.parents[1], stdout=log,
            stderr=log, env={**variables, 'RANK': str(rank), 'LOCAL_RANK': str(rank)})
            for rank in range(ranks)]
        for process in processes:
            stack.callback(process.wait)
            stack.callback(process.kill)
        while any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes):
                break  # the others wait for it
            time.sleep(0.02)
        codes = [process.poll() for process in processes]
        log.seek(0)
        assert codes == [0] * ranks, log.read()[-5000:]
