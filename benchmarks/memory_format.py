"""A step of the student with its weights' channels last, against channels first.

    python benchmarks/memory_format.py [--size 128] [--batch 4] [--threads 1] [--quick]

The step is that of configs/reduced's student, in bf16: VGG-16, layout B, a decoder of a
quarter of DFDNet's width, pixel and perceptual loss, Adam. The two ways take turns on
the same batch. Weights are random: they do not change the time.
"""

import argparse
import copy
import time
from statistics import median
from typing import Any, Dict, Optional


def parse_arguments(description: Optional[str] = __doc__) -> argparse.Namespace:
    """Of a benchmark that times training steps."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=128, help='side of SR (128)')
    parser.add_argument('--batch', type=int, default=4, help='faces a step (4)')
    parser.add_argument('--threads', type=int, default=1, help='of torch (1)')
    parser.add_argument('--repeats', type=int, default=5, help='steps of each (5)')
    parser.add_argument('--quick', action='store_true', help='does it still run?')
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.size, arguments.batch, arguments.repeats = 64, 1, 1
    return arguments


def build() -> Any:
    """The student's restorer in training mode."""
    from fdsr.registry import MODELS, register_all
    register_all()
    return MODELS.build(dict(
        type='fdsr.FaceRestorer',
        generator=dict(type='fdsr.DistilledStudent', scale=8, layout='B', width=0.25,
                       encoder=dict(arch='vgg16', pretrained=None)),
        perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16',
                             pretrained=None))).train()


def optimiser_of(model: Any) -> Any:
    """Adam, bf16 in the forward."""
    import torch

    from fdsr.engine.optim import AutocastOptimWrapper
    learned = [value for value in model.parameters() if value.requires_grad]
    return AutocastOptimWrapper(optimizer=torch.optim.Adam(learned, lr=1e-4))


def random_batch(size: int, count: int) -> Dict[str, Any]:
    """Noise for pictures."""
    import torch
    from mmagic.structures import DataSample

    def noise(side: int) -> Any:
        return torch.randint(0, 256, (3, side, side), dtype=torch.uint8)

    return dict(inputs=[noise(size // 8) for _ in range(count)],
                data_samples=[DataSample(gt_img=noise(size), metainfo=dict(name=str(i)))
                              for i in range(count)])


def main() -> None:
    arguments = parse_arguments()
    import torch
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    first = build()
    last = copy.deepcopy(first).to(memory_format=torch.channels_last)
    ways = [(model, optimiser_of(model), []) for model in (first, last)]
    data = random_batch(arguments.size, arguments.batch)
    for repeat in range(arguments.repeats + 1):
        for model, optimiser, times in ways:
            start = time.perf_counter()
            model.train_step(data, optimiser)
            if repeat > 0:  # the first step of each warms up
                times.append(time.perf_counter() - start)
    spent = [median(times) for _, _, times in ways]
    print(f'{arguments.size} px, batch {arguments.batch}, {arguments.threads} thread(s)'
          f', bf16, torch {torch.__version__}, median of {arguments.repeats} steps')
    print(f'channels first {spent[0]:.3f} s a step, last {spent[1]:.3f} s')
    print(f'memory_format: ratio {spent[0] / spent[1]:.2f}')


if __name__ == '__main__':
    main()
