"""Compares a distillation step that runs the shared encoder once and twice.

    python benchmarks/distill_step.py [--size 128] [--batch 8] [--threads 1] [--quick]

Teacher and student have the same frozen VGG-16, layout B, decoders with a quarter of
DFDNet's width and 64 atoms, as in configs/reduced. The step includes both networks, the
pixel, perceptual and adversarial losses, and both optimizers. The two variants
alternate on the same batch. Weights are random, which does not change the time.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Dict, Tuple


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=128,
                        help='side of the SR image (default: 128)')
    parser.add_argument('--batch', type=int, default=8,
                        help='faces per step (default: 8)')
    parser.add_argument('--threads', type=int, default=1,
                        help='threads of torch (default: 1)')
    parser.add_argument('--repeats', type=int, default=5,
                        help='timed steps (default: 5)')
    parser.add_argument('--quick', action='store_true', help='small run as a check')
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.size, arguments.batch, arguments.repeats = 64, 1, 1
    return arguments


def build(size: int) -> Tuple[Any, Any]:
    """Returns the distiller in training mode and its optimizers."""
    from fdsr.engine.optim import GroupOptimWrapperConstructor
    from fdsr.models.files.checkpoints import save_backbone
    from fdsr.registry import MODELS, register_all
    from fdsr.weights import weights_follow
    register_all()
    network = dict(scale=8, encoder=dict(arch='vgg16', pretrained=None), width=0.25)
    teacher = dict(type='fdsr.DictionaryTeacher', size=size, eye_share=0.3125,
                   dictionary=dict(num_atoms=64), **network)
    with weights_follow(), tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / 'teacher.pth'
        save_backbone(MODELS.build(teacher), teacher, checkpoint)
        model = MODELS.build(dict(
            type='fdsr.FeatureDistiller', teacher=str(checkpoint),
            student=dict(type='fdsr.DistilledStudent', **network),
            perceptual_loss=dict(type='fdsr.PerceptualLoss', encoder='vgg16',
                                 pretrained=None)))
    adam = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
    constructor = GroupOptimWrapperConstructor(dict(student=adam, discriminator=adam))
    return model.train(), constructor(model)


def random_batch(size: int, count: int) -> Dict[str, Any]:
    """Returns a batch of noise images with the boxes of an aligned face."""
    import torch
    from mmagic.structures import DataSample

    from fdsr.geometry.components import boxes_from_five_points
    eyes, nose, mouth = (0.34, 0.66), 0.62, (0.38, 0.62)
    points = [(eyes[0], 0.46), (eyes[1], 0.46), (0.5, nose), (mouth[0], 0.78),
              (mouth[1], 0.78)]
    landmarks = torch.tensor(points).numpy() * size
    boxes = torch.from_numpy(boxes_from_five_points(landmarks, size))

    def noise(side: int) -> Any:
        return torch.randint(0, 256, (3, side, side), dtype=torch.uint8)

    samples = [DataSample(gt_img=noise(size), boxes=boxes, metainfo=dict(name=str(i)))
               for i in range(count)]
    return dict(inputs=[noise(size // 8) for _ in range(count)], data_samples=samples)


def seconds_of(model: Any, optimizers: Any, data: Dict[str, Any],
               shared: bool) -> float:
    """Returns the seconds of one step."""
    model.shares_encoder = shared
    start = time.perf_counter()
    model.train_step(data, optimizers)
    return time.perf_counter() - start


def main() -> None:
    arguments = parse_arguments()
    import torch
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, optimizers = build(arguments.size)
    assert model.shares_encoder, 'teacher and student do not share their encoder'
    data = random_batch(arguments.size, arguments.batch)
    times: Dict[bool, list] = {True: [], False: []}
    for repeat in range(arguments.repeats + 1):
        for shared in (False, True):
            spent = seconds_of(model, optimizers, data, shared)
            if repeat > 0:  # the first step of each is a warm-up
                times[shared].append(spent)
    twice, once = median(times[False]), median(times[True])
    print(f'{arguments.size} px, batch {arguments.batch}, {arguments.threads} thread(s)'
          f', torch {torch.__version__}, median of {arguments.repeats} steps')
    print(f'encoder twice {twice:.3f} s per step, once {once:.3f} s')
    print(f'distill_step: ratio {twice / once:.2f}')


if __name__ == '__main__':
    main()
