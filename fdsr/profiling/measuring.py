"""Clock, scales and counter: what single calls take."""

import ctypes
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

MACS_COUNT = ('convolutions, matrix products and attention of one picture, encoder and '
              'up-sampling included; not counted: biases, activations, '
              'normalisations, interpolations, products with a vector')
MEMORY_MEANS = {
    'cpu': 'peak of the resident set during a call, above what stood before it',
    'cuda': 'torch.cuda.max_memory_allocated during a call, above what was allocated '
            'before it',
}
_MEMORY_CALLS = 3
#: Numbers of glibc's mallopt, see malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def count_gmacs(call: Callable[[], Any]) -> float:
    """10^9 multiply-adds of a call, see ``MACS_COUNT``."""
    # The counter hooks parameters, which cannot be done in inference mode.
    with torch.inference_mode(False), torch.no_grad(), \
            FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2e9


def bytes_of(module: nn.Module) -> int:
    """Of parameters and buffers, each once."""
    return sum(value.numel() * value.element_size()
               for values in (module.parameters(), module.buffers())
               for value in values)


class Clock:
    """Times and weighs calls on one device.

    Args:
        device: where the calls compute.
        warmup: calls before those that are timed.
        repeats: timed calls.
    """

    def __init__(self, device: torch.device, warmup: int, repeats: int) -> None:
        self.device, self.warmup, self.repeats = device, warmup, repeats

    def milliseconds(self, call: Callable[[], Any]) -> List[float]:
        """What each of the timed calls took."""
        for _ in range(self.warmup):
            call()
        times = []
        for _ in range(self.repeats):
            self._wait()
            start = time.perf_counter()
            call()
            self._wait()
            times.append((time.perf_counter() - start) * 1e3)
        return times

    def _wait(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)

    def peak_mb(self, call: Callable[[], Any]) -> Optional[float]:
        """MB (10^6 bytes) beside what stood before, see ``MEMORY_MEANS``.

        The median of up to three calls; None where the system does not tell.
        """
        measure = self._cuda_peak if self.device.type == 'cuda' else peak_memory
        peaks = [measure(call) for _ in range(min(self.repeats, _MEMORY_CALLS))]
        return None if None in peaks else statistics.median(peaks) / 1e6

    def _cuda_peak(self, call: Callable[[], Any]) -> int:
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        call()
        return torch.cuda.max_memory_allocated(self.device) - before


def peak_memory(call: Callable[[], Any]) -> Optional[int]:
    """Peak of the resident set during a call, above what it was; Linux alone.

    The kernel's high-water mark (VmHWM) is set back first, so what ran before in the
    same process does not count. Unlike a sum of tensors it holds what libraries
    allocate for themselves, as oneDNN does for its blocked copies. Pages are counted,
    with an error of about a megabyte. What counts is what the call holds at once: it
    runs in a thread of its own, whose heap is empty, with a mapping for each large
    block, or malloc's holes, other ones in each process, would add up to half of it.

    Args:
        call: best run once before, or what is only made once is counted. The thread
            has the caller's gradient and inference modes.

    Returns:
        Bytes, or None where the system does not tell.
    """
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def weigh() -> Optional[int]:
        if not _reset_high_water_mark():
            return None
        before = _status('VmRSS')
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            call()
        return max(0, _status('VmHWM') - before)

    with _mapping_large_blocks(), ThreadPoolExecutor(1) as thread:
        return thread.submit(weigh).result()


def _reset_high_water_mark() -> bool:
    """Whether the system can do it."""
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        return False
    return True


@contextmanager
def _mapping_large_blocks() -> Iterator[None]:
    """Has glibc give freed memory back at once, what was freed before included."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, 'mallopt'):  # another C library, without such a switch
        yield
        return
    libc.mallopt(_M_MMAP_THRESHOLD, 2**17)
    libc.malloc_trim(0)
    try:
        yield
    finally:
        # glibc starts at 128 KiB and rises to these as large blocks are freed; once
        # set by hand it no longer does
        libc.mallopt(_M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**26)


def _status(field: str) -> int:
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f'/proc/self/status has no {field}')
