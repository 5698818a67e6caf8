"""Command-line arguments shared by several tools. It is cheap to import."""

import argparse
from collections.abc import Callable
from typing import Any

from fdsr.cli.errors import report_errors

__all__ = [
    'add_common_arguments', 'add_config_arguments', 'add_override_arguments',
    'add_ray_argument', 'common_options', 'override_options', 'report_errors',
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
        '--data-root', action='append', metavar='DIR',
        help='root of the data; overrides data_root of the datasets in the config; '
        'repeat it for a config with several datasets')
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
        help='overrides of the config by dotted key: train_dataloader.batch_size=4 '
        'model.student.width=0.5')


def add_ray_argument(parser: argparse.ArgumentParser, what: str = 'the work') -> None:
    """Adds the option that runs a preparation on a Ray cluster."""
    parser.add_argument(
        '--ray', metavar='ADDRESS',
        help=f'run {what} on a Ray cluster: HOST:PORT, ray://HOST:PORT, auto, or local '
        'for this machine; needs pip install "fdsr[cluster]"')


def common_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the arguments for ``fdsr.engine.config.load_config``."""
    return dict(override_options(arguments), work_dir=arguments.work_dir)


def override_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns ``data_root`` and ``cfg_options`` for ``load_config``."""
    from fdsr.engine.config_options import parse_options
    return dict(data_root=arguments.data_root,
                cfg_options=parse_options(arguments.cfg_options))


def whole_number(least: int) -> Callable[[str], int]:
    """Returns an argparse type for whole numbers with a minimum."""
    def whole(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f'{text} is less than {least}')
        return value
    return whole
