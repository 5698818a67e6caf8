"""Measures time, memory and multiply-adds of single calls."""

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

MACS_COUNT = ('convolutions, matrix products and attention of one image, encoder and '
              'upsampling included; not counted: biases, activations, '
              'normalizations, interpolations, products with a vector')
MEMORY_MEANS = {
    'cpu': 'peak of the resident set during a call, minus its size before the call',
    'cuda': 'torch.cuda.max_memory_allocated during a call, minus the memory allocated '
            'before the call',
}
_MEMORY_CALLS = 3
#: Parameters of glibc's mallopt, see malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def count_gmacs(call: Callable[[], Any]) -> float:
    """Returns the 10^9 multiply-adds of a call, half of torch's flops.

    See ``MACS_COUNT``; operators of other packages are not counted either.
    """
    # FlopCounterMode hooks parameters, which inference mode does not allow.
    with torch.inference_mode(False), torch.no_grad(), \
            FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2e9


def bytes_of(module: nn.Module) -> int:
    """Returns the size of a module's parameters and buffers in bytes."""
    return sum(value.numel() * value.element_size()
               for values in (module.parameters(), module.buffers())
               for value in values)


class Clock:
    """Measures time and memory of calls on one device.

    Args:
        device: device that the calls use.
        warmup: number of calls before the timed ones.
        repeats: number of timed calls.
    """

    def __init__(self, device: torch.device, warmup: int, repeats: int) -> None:
        self.device, self.warmup, self.repeats = device, warmup, repeats

    def milliseconds(self, call: Callable[[], Any]) -> List[float]:
        """Returns the milliseconds of each timed call."""
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
        """Returns the median peak of up to three calls in MB (10^6 bytes).

        See ``MEMORY_MEANS``; None if the system does not report it.
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
    """Returns the peak of the resident set during a call, minus its size before.

    Linux only. Resets the kernel's high-water mark (VmHWM) first, so earlier calls of
    the process do not count. Unlike a sum of tensors, the peak includes memory that
    libraries allocate, such as oneDNN's blocked copies. It is a number of pages, with
    an error of about one megabyte.

    The call runs in a new thread, whose heap is empty, and glibc maps each large block
    separately. Both are needed. With the thread alone, repeated calls reuse resident
    memory and report 0. With the mappings alone, free blocks in the heap of the main
    thread, which differ between processes, changed the peaks of small networks by 10
    to 35 %.

    Args:
        call: function to measure; call it once before, to exclude one-off
            allocations. The thread inherits the gradient and inference modes.

    Returns:
        Bytes, or None if the system does not report them.
    """
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def measure() -> Optional[int]:
        try:
            Path('/proc/self/clear_refs').write_text('5')  # resets VmHWM
        except OSError:
            return None
        before = _status('VmRSS')
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            call()
        return max(0, _status('VmHWM') - before)

    with _mapping_large_blocks(), ThreadPoolExecutor(1) as thread:
        return thread.submit(measure).result()


@contextmanager
def _mapping_large_blocks() -> Iterator[None]:
    """Makes glibc return freed memory to the system at once."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, 'mallopt'):  # not glibc
        yield
        return
    libc.mallopt(_M_MMAP_THRESHOLD, 2**17)
    libc.malloc_trim(0)
    try:
        yield
    finally:
        # glibc would raise its thresholds from 128 KiB to these values as large blocks
        # are freed, but no longer does so once they are set
        libc.mallopt(_M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**26)


def _status(field: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    line = next(line for line in lines if line.startswith(field))
    return int(line.split()[1]) * 1024
