"""Compares dictionary feature transfer as in DFDNet's release and as in fdsr.

    python benchmarks/dictionary.py [--threads 1] [--repeats 3] [--quick]

naive    As in DFDNet's release: for each sample, level and component, AdaIN adapts the
         style of all K atoms to the feature, and one product, vectorized over K,
         scores them. Slices and F.interpolate crop the box and resize the atom to it.
         Statistics use the same function as `batched`; torch.var, which the release
         calls, would make this variant a third slower.
batched  `DictionaryTeacher.transfer`.

Both use the same feature maps, boxes and atoms in fp32, and both crop and paste back.
The learned confidence is replaced by 1, because its convolutions are the same in both.
Layout B at 256 px, with VGG's channels. Before the timing, both must select the same
atoms and agree within 1e-5 of the largest output. Times are the best of several calls.
Memory is the increase of the peak resident set during the call, without dictionary and
feature maps.
"""

import argparse
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Tuple

Maps = List[Any]
_SIDE = 256
_COUNTS, _QUICK_COUNTS = [64, 512], [16]


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--threads', type=int, default=1,
                        help='threads of torch (default: 1)')
    parser.add_argument('--repeats', type=int, default=3,
                        help='timed calls of each variant (default: 3)')
    parser.add_argument('--quick', action='store_true',
                        help=f'K = {_QUICK_COUNTS[0]} only, to check that it works')
    return parser.parse_args()


@dataclass
class Result:
    """Seconds per call, and peak memory in bytes if the system reports it."""

    seconds: float
    memory: Optional[int]


class Case:
    """One dictionary and the two variants of the transfer.

    Args:
        num_atoms: number of atoms K.
    """

    def __init__(self, num_atoms: int) -> None:
        import torch

        from fdsr.models.backbones import DictionaryTeacher
        from fdsr.weights import weights_follow
        torch.manual_seed(0)
        with weights_follow():  # random VGG: only its channels matter here
            self.teacher = DictionaryTeacher(
                size=_SIDE, encoder=dict(arch='vgg16', pretrained=None), width=0.1,
                dictionary=dict(num_atoms=1)).eval()
        self.raw: Dict[Tuple[str, int], torch.Tensor] = {}
        self._replace_dictionary(num_atoms)
        self._replace_confidence()

    def _replace_dictionary(self, num_atoms: int) -> None:
        import torch

        from fdsr.models.dictionary.component_dictionary import (
            ComponentDictionary,
            DictionarySpec,
        )

        class Recording(ComponentDictionary):
            """Records the matches, {(component, level): atoms}."""

            def match(self, component, level, feature):
                index = super().match(component, level, feature)
                self.chosen[component, level] = index.tolist()
                return index

        old = self.teacher.dictionary.spec
        self.teacher.dictionary = dictionary = Recording(
            DictionarySpec.uniform(old.channels, old.sides, num_atoms))
        dictionary.chosen = {}
        for slot in dictionary.spec.slots():
            shape = dictionary.spec.atom_shape(*slot)
            self.raw[slot] = torch.rand(shape) * contrast(shape[1])
            dictionary.set_atoms(*slot, self.raw[slot])

    def _replace_confidence(self) -> None:
        from torch import nn

        class Certain(nn.Module):
            """Confidence 1."""

            def forward(self, difference, mask):
                return 1.0

        for blocks in self.teacher.confidence.values():
            for level in range(len(blocks)):
                blocks[level] = Certain()

    def inputs(self, batch: int) -> Tuple[Maps, Any]:
        """Returns feature maps as after a ReLU, and different boxes for each sample."""
        import numpy as np
        import torch

        from fdsr.geometry.components import boxes_from_five_points
        from fdsr.models.backbones.encoder import layout_of
        strides = layout_of('B').strides
        generator = torch.Generator().manual_seed(batch)
        maps = [
            torch.randn(batch, channels, _SIDE // stride, _SIDE // stride,
                        generator=generator).relu_() * contrast(channels)
            for channels, stride in zip(self.teacher.encoder.channels, strides)]
        # an FFHQ-aligned face, slightly shifted and scaled
        face = np.array([[.378, .47], [.622, .47], [.5, .61], [.4, .73], [.6, .73]])
        change = np.random.default_rng(batch)
        faces = [face * change.uniform(0.9, 1.1) + change.uniform(-0.03, 0.03, size=2)
                 for _ in range(batch)]
        boxes = boxes_from_five_points(np.stack(faces) * _SIDE, _SIDE)
        return maps, torch.from_numpy(boxes)

    def naive(self, maps: Maps, boxes: Any) -> Tuple[Maps, Dict]:
        """Returns the feature maps after the transfer, and the atoms of each slot."""
        from fdsr.geometry.components import COMPONENTS
        from fdsr.models.backbones.encoder import layout_of
        updated, chosen = [], {}
        for level, stride in enumerate(layout_of('B').strides):
            result = maps[level].clone()
            for sample in range(len(result)):
                for order, component in enumerate(COMPONENTS):
                    area = naive_slice(boxes[sample, order], stride, result.shape[-1])
                    crop = maps[level][sample:sample + 1][area]
                    atom, index = naive_match(self.raw[component, level], crop)
                    result[sample:sample + 1][area] = crop + 1.0 * atom
                    chosen.setdefault((component, level), []).append(index)
            updated.append(result)
        return updated, chosen

    def batched(self, maps: Maps, boxes: Any) -> Tuple[Maps, Dict]:
        """Returns the same, computed by the teacher."""
        return (self.teacher.transfer(maps, boxes), self.teacher.dictionary.chosen)


def contrast(channels: int) -> Any:
    """Returns (C, 1, 1) factors: channels of very different scale, as in VGG."""
    import torch
    return torch.logspace(-1, 1, channels)[:, None, None]


def naive_slice(box: Any, stride: int, size: int) -> Tuple:
    """Returns the clipped box on a feature map as an index of (1, C, H, W)."""
    x1, y1, x2, y2 = (int(value // stride) for value in box.tolist())
    x1, y1 = min(max(x1, 0), size - 1), min(max(y1, 0), size - 1)
    return (slice(None), slice(None), slice(y1, max(min(y2, size), y1 + 1)),
            slice(x1, max(min(x2, size), x1 + 1)))


def naive_match(atoms: Any, crop: Any) -> Tuple[Any, int]:
    """Adapts all atoms (K, C, s, s) to the crop (1, C, h, w) and returns the best."""
    import torch.nn.functional as F

    from fdsr.models.dictionary.component_dictionary import channel_statistics
    feature = F.interpolate(
        crop, atoms.shape[-2:], mode='bilinear', align_corners=False)
    mean, deviation = channel_statistics(feature, unbiased=False)
    atom_mean, atom_deviation = channel_statistics(atoms, unbiased=False)
    restyled = (atoms - atom_mean) / atom_deviation * deviation + mean
    index = int((restyled.flatten(1) @ feature.flatten()).argmax())
    return F.interpolate(
        restyled[index:index + 1], crop.shape[-2:], mode='nearest'), index


def check_equal(batched: Tuple[Maps, Dict], naive: Tuple[Maps, Dict]) -> None:
    """Stops the benchmark if the two variants differ."""
    assert batched[1] == naive[1], 'the two variants selected different atoms'
    for level, (found, expected) in enumerate(zip(batched[0], naive[0])):
        worst = float((found - expected).abs().max() / expected.abs().max())
        assert worst < 1e-5, f'level {level} differs by {worst:.1e} of the largest'


def measure(call: Callable[[], Any], repeats: int) -> Result:
    """Measures time and memory of a call that has run before."""
    from fdsr.profiling.measuring import peak_memory
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return Result(min(times), peak_memory(call))


def run(counts: List[int], repeats: int) -> float:
    """Measures every case, prints a row for each, and returns the last ratio."""
    import torch
    print(f'{"K":>5} {"batch":>5} {"naive s":>9} {"batched s":>10} {"ratio":>7} '
          f'{"naive MB":>9} {"batched MB":>10}')
    ratio = 0.0
    for num_atoms in counts:
        case = Case(num_atoms)
        for batch in (1, 4):
            maps, boxes = case.inputs(batch)
            with torch.no_grad():
                check_equal(case.batched(maps, boxes), case.naive(maps, boxes))
                batched = measure(partial(case.batched, maps, boxes), repeats)
                naive = measure(partial(case.naive, maps, boxes), repeats)
            ratio = naive.seconds / batched.seconds
            memory = ['?' if one.memory is None else f'{one.memory / 1e6:.0f}'
                      for one in (naive, batched)]
            print(f'{num_atoms:>5} {batch:>5} {naive.seconds:>9.3f} '
                  f'{batched.seconds:>10.4f} {ratio:>7.1f} {memory[0]:>9} '
                  f'{memory[1]:>10}', flush=True)
    return ratio


def main() -> None:
    """Runs the benchmark; the headline is its last case, K = 512 and batch 4."""
    args = parse_args()
    import torch
    torch.set_num_threads(args.threads)
    print(f'layout B at {_SIDE} px, fp32, CPU, {args.threads} thread(s), best of '
          f'{args.repeats}, torch {torch.__version__}')
    ratio = run(_QUICK_COUNTS if args.quick else _COUNTS, args.repeats)
    print(f'dictionary: ratio {ratio:.1f}')


if __name__ == '__main__':
    main()
