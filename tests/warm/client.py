"""Asks the server for a process and stands for it: streams, signals, exit status."""

import json
import os
import signal
import socket
import sys

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(path: str, arguments: list[str]) -> None:
    """Runs the arguments of ``python``; options of the interpreter need a real one."""
    if not arguments or arguments[0].startswith('-') and arguments[0] not in (
            '-c', '-m', '-u'):
        os.execv(sys.executable, [sys.executable, *arguments])
    ignored = [number for number in _SIGNALS
               if signal.getsignal(number) is signal.SIG_IGN]
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    request = json.dumps(dict(
        arguments=arguments, folder=os.getcwd(), environment=dict(os.environ),
        ignored=ignored)).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        socket.send_fds(server, [len(request).to_bytes(8, 'big')], [0, 1, 2])
        server.sendall(request)
        answers = server.makefile()
        pid = int(answers.readline())
        for number in set(_SIGNALS) - set(ignored):
            signal.signal(number, lambda number, _: os.killpg(pid, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        status = int(answers.readline())
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2:])
