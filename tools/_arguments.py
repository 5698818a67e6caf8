"""Command-line arguments shared by several tools. It is cheap to import."""

import argparse
import ast
from collections.abc import Callable
from typing import Any

from fdsr.cli.errors import report_errors

__all__ = [
    'add_common_arguments', 'add_config_arguments', 'add_override_arguments',
    'common_options', 'override_options', 'parse_options', 'report_errors',
    'whole_number'
]


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of tools that run a config."""
    add_config_arguments(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch'], default='none',
        help='pytorch: started by torchrun as one of several processes')
    # some launchers pass it; torchrun sets the environment instead
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help=argparse.SUPPRESS)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of tools that read a config."""
    add_override_arguments(parser)
    parser.add_argument(
        '--work-dir', metavar='DIR',
        help='output folder (default: work_dirs/ plus the path of the config in '
             'configs/)')


def add_override_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that override values of a config."""
    parser.add_argument(
        '--data-root', metavar='DIR',
        help='root of the data; overrides data_root of the datasets in the config')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='overrides of the config by dotted key, as Python literals: '
        'train_dataloader.batch_size=4 model.student.width=0.5')


def common_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the arguments for ``fdsr.engine.config.load_config``."""
    return dict(override_options(arguments), work_dir=arguments.work_dir)


def override_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns ``data_root`` and ``cfg_options`` for ``load_config``."""
    return dict(data_root=arguments.data_root,
                cfg_options=parse_options(arguments.cfg_options))


def parse_options(options: list[str], name: str = '--cfg-options') -> dict[str, Any]:
    """Parses KEY=VALUE to a dict; a value that is not a literal is a string.

    Args:
        options: options from the command line.
        name: name of the argument for messages.

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
    """Returns an argparse type for whole numbers with a minimum."""
    def whole(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f'{text} is less than {least}')
        return value
    return whole
