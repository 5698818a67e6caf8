"""The environment of a check: versions, GPU and driver."""

import importlib.metadata
import platform
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import torch

from fdsr.utils.hardware import hardware

_PACKAGES = ('fdsr', 'mmcv', 'mmcv-lite', 'mmagic', 'triton', 'numpy', 'pytest')


def environment(device: str) -> dict[str, Any]:
    """Returns the facts that stand beside every number, as plain values.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    facts = {**hardware(), **{name: _version(name) for name in _PACKAGES},
             'system': f'{platform.system()} {platform.machine()}'}
    if device != 'cuda':
        return {**facts, 'gpu': None}
    properties = torch.cuda.get_device_properties(0)
    return dict(
        facts, gpu=properties.name,
        gpu_memory_gb=round(properties.total_memory / 1e9, 1),
        compute_capability=f'{properties.major}.{properties.minor}',
        driver=_driver(), cuda=torch.version.cuda,
        cudnn=_fact(torch.backends.cudnn.version),
        nccl=_fact(lambda: '.'.join(map(str, torch.cuda.nccl.version()))),
        tf32_convolutions=_fact(lambda: torch.backends.cudnn.allow_tf32),
        tf32_products=_fact(lambda: torch.backends.cuda.matmul.allow_tf32))


def _fact(read: Callable[[], Any]) -> Any:
    """Returns the result of a function, None if this build of torch lacks it."""
    try:
        return read()
    except (AttributeError, RuntimeError):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _driver() -> str | None:
    """The driver's version as ``nvidia-smi`` has it; None without that program."""
    program = shutil.which('nvidia-smi')
    if program is None:
        return None
    done = subprocess.run(
        [program, '--query-gpu=driver_version', '--format=csv,noheader'],
        text=True, capture_output=True)
    lines = done.stdout.split()
    return lines[0] if done.returncode == 0 and lines else None
