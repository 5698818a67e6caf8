"""Command lines that end with a message."""

import functools
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable

_TRACEBACK = 'FDSR_TRACEBACK'


def report_errors(main: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a tool end with a message where the project's own code has raised an error.

    Such messages say what is wrong and what to do, which a traceback would bury. Any
    other error is a fault in the code or in a library, and keeps its traceback.
    ``FDSR_TRACEBACK=1`` in the environment keeps all of them.
    """
    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return main(*args, **kwargs)
        except Exception as error:
            if os.environ.get(_TRACEBACK) or not _explains_itself(error):
                raise
            print(f'{_TRACEBACK}=1 shows where this comes from:', file=sys.stderr)
            # A KeyError's own text is quoted.
            text = error.args[0] if isinstance(error, KeyError) else error
            sys.exit(f'{Path(sys.argv[0]).name}: {text}')
    return run


def _explains_itself(error: Exception) -> bool:
    """Whether the project raised it, and with a sentence."""
    package = sys.modules.get('fdsr')
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return (package is not None and Path(package.__path__[0]) in raised_in.parents
            and ' ' in str(error))
