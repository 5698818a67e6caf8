"""What several tools share of the command line. Imports nothing heavy."""

import argparse
import ast
from typing import Any, Callable, Dict, List

from fdsr.cli.errors import report_errors

__all__ = [
    'add_common_arguments', 'add_config_arguments', 'common_options', 'parse_options',
    'report_errors', 'whole_number'
]


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
        help="root of the data, replaces data_root of the config's datasets")
    parser.add_argument(
        '--work-dir', metavar='DIR',
        help='where to write; default: work_dirs, and below it '
             'the place that the config has in configs')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='values of the config by dotted key, as Python literals: '
        "train_dataloader.batch_size=4 model.student.width=0.5")


def common_options(arguments: argparse.Namespace) -> Dict[str, Any]:
    """The arguments of ``fdsr.engine.config.load_config``."""
    return dict(
        data_root=arguments.data_root, work_dir=arguments.work_dir,
        cfg_options=parse_options(arguments.cfg_options))


def parse_options(options: List[str], name: str = '--cfg-options') -> Dict[str, Any]:
    """Turns KEY=VALUE into a dict; a value that is no literal is a string.

    Args:
        options: as they were given.
        name: of the argument that takes them.

    Raises:
        SystemExit: an option has no ``=``.
    """
    parsed = {}
    for option in options:
        key, equals, value = option.partition('=')
        if not equals:
            raise SystemExit(f'{name} takes KEY=VALUE, found {option!r}.')
        try:
            parsed[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed[key] = value
    return parsed


def whole_number(least: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers, of which the least is told."""
    def whole(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f'{text} is less than {least}')
        return value
    return whole
