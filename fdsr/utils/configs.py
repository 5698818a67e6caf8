"""Reading of config files, and conversion of configs to plain values."""

from pathlib import Path
from typing import IO, Any

import mmengine.config.config as _mmengine
from mmengine.config import Config, ConfigDict


def _open(file: Any, mode: str = 'r', encoding: str | None = None) -> IO:
    if mode == 'r' and encoding == 'utf-8':
        encoding = 'utf-8-sig'
    return open(file, mode, encoding=encoding)


# Editors of Windows write a byte order mark, which mmengine leaves in the text of a
# config and of its bases.
_mmengine.open = _open


def read_config(path: str | Path) -> Config:
    """Reads a config file with its bases.

    Raises:
        ImportError: a module of ``custom_imports`` cannot be imported.
        ValueError: the file or one of its bases is not a valid config.
    """
    try:
        return Config.fromfile(path)
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f'The config {path} cannot be read. {type(error).__name__}: '
                         f'{error}') from error


def plain(config: Any) -> Any:
    """Converts a config to plain dicts, lists and values, as stored in checkpoints."""
    if isinstance(config, ConfigDict):
        config = config.to_dict()
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    return config
