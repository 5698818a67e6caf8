"""What several tools share of the command line. Imports nothing heavy."""

import argparse
import ast
import functools
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List

_TRACEBACK = 'FDSR_TRACEBACK'


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what every tool that runs a config takes."""
    add_config_arguments(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch'], default='none',
        help='pytorch: one of several processes that torchrun started')
    # some launchers give it; torchrun sets the environment
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help=argparse.SUPPRESS)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what every tool that reads a config takes."""
    parser.add_argument(
        '--data-root', metavar='DIR',
        help="root of the data, replaces data_root of the config's data sets")
    parser.add_argument(
        '--work-dir', metavar='DIR',
        help='where to write; default: work_dirs/NAME_OF_CONFIG')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='values of the config by dotted key, as Python literals: '
        "train_dataloader.batch_size=4 model.student.width=0.5")


def common_options(arguments: argparse.Namespace) -> Dict[str, Any]:
    """The arguments of ``fdsr.engine.config.load_config``."""
    return dict(
        data_root=arguments.data_root, work_dir=arguments.work_dir,
        cfg_options=parse_options(arguments.cfg_options))


def parse_options(options: List[str]) -> Dict[str, Any]:
    """Turns KEY=VALUE into a dict; a value that is no literal is a string.

    Raises:
        SystemExit: an option has no ``=``.
    """
    parsed = {}
    for option in options:
        key, equals, value = option.partition('=')
        if not equals:
            raise SystemExit(f'--cfg-options takes KEY=VALUE, found {option!r}.')
        try:
            parsed[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed[key] = value
    return parsed


def report_errors(main: Callable[[], None]) -> Callable[[], None]:
    """Lets a tool end with a message where the project's own code has raised an error.

    Such messages say what is wrong and what to do, which a traceback would bury. Any
    other error is a fault in the code or in a library, and keeps its traceback.
    ``FDSR_TRACEBACK=1`` in the environment keeps all of them.
    """
    @functools.wraps(main)
    def run() -> None:
        try:
            main()
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
