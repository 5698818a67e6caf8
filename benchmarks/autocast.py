"""Compares a training step in torch's bf16 autocast, in fdsr's, and in fp32.

    python benchmarks/autocast.py [--size 128] [--batch 4] [--threads 1] [--quick]

On a CPU with bf16 instructions the two autocasts are identical. The step is the one of
memory_format.py with channels-last weights. The three variants alternate.
"""

import argparse
import contextlib
import time
from statistics import median
from typing import Any, Callable, ContextManager, Dict

from memory_format import build, parse_arguments, random_batch


def step(model: Any, optimizer: Any, data: Dict[str, Any],
         precision: Callable[[], ContextManager]) -> float:
    """Returns the seconds of one step."""
    start = time.perf_counter()
    with precision():
        batch = model.data_preprocessor(data, True)
        loss, _ = model.parse_losses(model(**batch, mode='loss'))
    optimizer.update_params(loss)
    return time.perf_counter() - start


def main() -> None:
    arguments: argparse.Namespace = parse_arguments(__doc__)
    import torch
    from mmengine.optim import OptimWrapper

    from fdsr.models.autocast import bf16_autocast, has_bf16
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = build().to(memory_format=torch.channels_last)
    learned = [value for value in model.parameters() if value.requires_grad]
    optimizer = OptimWrapper(torch.optim.Adam(learned, lr=1e-4))
    variants = {
        'fp32': contextlib.nullcontext,
        "torch's bf16": lambda: torch.autocast('cpu', torch.bfloat16),
        "fdsr's bf16": lambda: bf16_autocast('cpu')}
    times: Dict[str, list] = {name: [] for name in variants}
    data = random_batch(arguments.size, arguments.batch)
    for repeat in range(arguments.repeats + 1):
        for name, precision in variants.items():
            spent = step(model, optimizer, data, precision)
            if repeat > 0:  # the first step of each is a warm-up
                times[name].append(spent)
    seconds = {name: median(spent) for name, spent in times.items()}
    print(f'{arguments.size} px, batch {arguments.batch}, {arguments.threads} thread(s)'
          f', torch {torch.__version__}, median of {arguments.repeats} steps; this CPU '
          f'has {"" if has_bf16() else "no "}bf16 instructions')
    print(', '.join(f'{name} {spent:.3f} s' for name, spent in seconds.items()))
    ratio = seconds["torch's bf16"] / seconds["fdsr's bf16"]
    print(f'autocast: ratio {ratio:.2f}')


if __name__ == '__main__':
    main()
