"""Compares a training step with channels-last weights and with channels-first weights.

    python benchmarks/memory_format.py [--size 128] [--batch 4] [--threads 1] [--quick]

The step is the one of the student in configs/reduced, in bf16: VGG-16, layout B, a
decoder with a quarter of DFDNet's width, pixel and perceptual loss, Adam. The two
variants alternate on the same batch. Weights are random, which does not change the
time.
"""

import argparse
import copy
import time
from statistics import median
from typing import Any, Dict, Optional


def parse_arguments(description: Optional[str] = __doc__) -> argparse.Namespace:
    """Reads the command line of a benchmark of training steps."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=128,
                        help='side of the SR image (default: 128)')
    parser.add_argument('--batch', type=int, default=4,
                        help='faces per step (default: 4)')
    parser.add_argument('--threads', type=int, default=1,
                        help='threads of torch (default: 1)')
    parser.add_argument('--repeats', type=int, default=5,
                        help='timed steps (default: 5)')
    parser.add_argument('--quick', action='store_true', help='small run as a check')
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.size, arguments.batch, arguments.repeats = 64, 1, 1
    return arguments


def build() -> Any:
    """Returns the student's restorer in training mode."""
    from fdsr.registry import MODELS, register_all
    register_all()
    return MODELS.build(dict(
        type='fdsr.FaceRestorer',
        generator=dict(type='fdsr.DistilledStudent', scale=8, layout='B', width=0.25,
                       encoder=dict(arch='vgg16', pretrained=None)),
        perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16',
                             pretrained=None))).train()


def optimizer_of(model: Any) -> Any:
    """Returns Adam with a forward pass in bf16."""
    import torch

    from fdsr.engine.optim import AutocastOptimWrapper
    learned = [value for value in model.parameters() if value.requires_grad]
    return AutocastOptimWrapper(optimizer=torch.optim.Adam(learned, lr=1e-4))


def random_batch(size: int, count: int) -> Dict[str, Any]:
    """Returns a batch of noise images."""
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
    variants = [(model, optimizer_of(model), []) for model in (first, last)]
    data = random_batch(arguments.size, arguments.batch)
    for repeat in range(arguments.repeats + 1):
        for model, optimizer, times in variants:
            start = time.perf_counter()
            model.train_step(data, optimizer)
            if repeat > 0:  # the first step of each is a warm-up
                times.append(time.perf_counter() - start)
    spent = [median(times) for _, _, times in variants]
    print(f'{arguments.size} px, batch {arguments.batch}, {arguments.threads} thread(s)'
          f', bf16, torch {torch.__version__}, median of {arguments.repeats} steps')
    print(f'channels first {spent[0]:.3f} s per step, channels last {spent[1]:.3f} s')
    print(f'memory_format: ratio {spent[0] / spent[1]:.2f}')


if __name__ == '__main__':
    main()
