"""Calls a tool in this process, where the imports cost nothing."""

import contextlib
import io
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock


def call_tool(path: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Runs a tool as a script; returns its exit status and what it printed.

    Output that does not go through ``sys.stdout`` and ``sys.stderr``, such as that of
    worker processes, is not captured.
    """
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
          mock.patch.object(sys, 'argv', [str(path), *map(str, arguments)]),
          mock.patch.object(sys, 'path', [str(path.parent), *sys.path])):
        try:
            runpy.run_path(str(path), run_name='__main__')
        except SystemExit as stop:
            code = stop.code or 0
            if not isinstance(code, int):
                print(code, file=sys.stderr)
                code = 1
    return subprocess.CompletedProcess(sys.argv, code, out.getvalue(), err.getvalue())
