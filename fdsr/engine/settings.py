"""Compares the settings of a resumed run with those of its checkpoint."""

import re
from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_world_size

from fdsr.utils.configs import plain

_COMPARED = ('model', 'train_dataloader', 'optim_wrapper', 'param_scheduler',
             'train_cfg', 'randomness', 'custom_hooks')
#: They do not change what is trained, or they differ between machines.
_IGNORED = re.compile(
    r'train_cfg\.val_\w+|.*\.(report_dir|num_workers|persistent_workers|pin_memory|'
    r'prefetch_factor)')
#: The loaded state would override them, or does not fit.
_FIXED = re.compile(
    r'(.*\.)?seed|optim_wrapper\.(\w+\.)?optimizer\.type|optim_wrapper\.constructor|'
    r'model\.init_from|(.*\.)?init_cfg(\..*)?')
#: A scheduler that depends on validation results has changed it since.
_MEASURED = re.compile(r'optim_wrapper\.(\w+\.)?optimizer\.lr')
_UNSET = object()


def settings_of(runner: Any) -> dict[str, Any]:
    """Returns the settings of a run that affect its training."""
    return dict(
        {name: plain(runner.cfg[name]) for name in _COMPARED if name in runner.cfg},
        num_processes=get_world_size(),
        num_samples=len(runner.train_dataloader.dataset))


def changes(before: dict[str, Any], now: dict[str, Any], measured: bool = False
            ) -> tuple[list[str], list[str]]:
    """Compares two results of ``settings_of``.

    Args:
        before: settings of the checkpoint, as plain values.
        now: settings of the resumed run, as plain values.
        measured: a scheduler depends on validation results.

    Returns:
        Descriptions of the changes that take effect in a resumed run, and of those that
        do not.
    """
    effective, refused = [], []
    for key, old, new in _differences(before, now, ''):
        if _IGNORED.fullmatch(key) or key == 'randomness.seed' and new is _UNSET:
            continue
        change = f'{key} was {_text(old)} and is now {_text(new)}'
        fixed = _FIXED.fullmatch(key) or measured and _MEASURED.fullmatch(key)
        (refused if fixed else effective).append(change)
    return effective, refused


def _differences(old: Any, new: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = {name: (old.get(name, _UNSET), new.get(name, _UNSET))
                 for name in (*old, *new)}
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = dict(enumerate(zip(old, new)))
    else:
        # None is the default of the settings that can be left out
        if (None if old is _UNSET else old) != (None if new is _UNSET else new):
            yield key, old, _UNSET if new is None else new
        return
    for name, (one, other) in pairs.items():
        yield from _differences(one, other, f'{key}.{name}' if key else str(name))


def _text(value: Any) -> str:
    if value is _UNSET:
        return 'not set'
    text = repr(value)
    return text if len(text) <= 100 else f'{text[:97]}...'
