"""Conversion of configs to plain values."""

from typing import Any

from mmengine.config import ConfigDict


def plain(config: Any) -> Any:
    """Converts a config to plain dicts, lists and values, as stored in checkpoints."""
    if isinstance(config, ConfigDict):
        config = config.to_dict()
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    return config
