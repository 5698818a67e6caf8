"""What the numbers are made on."""

import os
import platform
from pathlib import Path
from typing import Any, Dict

import torch


def hardware() -> Dict[str, Any]:
    """Returns where the numbers are made: CPU, cores, GPU, and versions."""
    import mmengine
    import torchvision
    facts = dict(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=torchvision.__version__,
        mmengine=mmengine.__version__)
    return facts


def _cpu_model() -> str:
    info = Path('/proc/cpuinfo')
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()
