"""Measures how the memory of a dictionary build grows with the number of faces.

    python benchmarks/dictionary_memory.py [--faces 1000 2000 4000] [--quick]

Builds dictionaries of noise images with `TinyEncoder` at 32 px and K = 8, so that the
constant part is small. Each build runs in its own process, whose peak resident set is
measured. The slope of a linear fit is the memory per face: 16 x 256 values in fp32 are
16 KiB, regardless of the image size and K. The final ratio is the measured slope over
these 16 KiB.
"""

import argparse
import json
import subprocess
import sys
from typing import Any, Iterator, Tuple

_SIZE, _ATOMS, _BATCH = 32, 8, 4
_KEPT = 16 * 256 * 4  # bytes per face: components x levels, values, fp32
_QUICK = (100, 300)


class Noise:
    """A reproducible stream of noise images.

    Args:
        count: number of images, a multiple of the batch size.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Tuple[Any, Any]]:
        """Yields (4, 3, 32, 32) RGB and (4, 4, 4) boxes."""
        import torch
        generator = torch.Generator().manual_seed(0)
        boxes = torch.tensor([[4., 6, 14, 16], [18, 6, 28, 16], [11, 13, 21, 23],
                              [8, 18, 24, 32]]).repeat(_BATCH, 1, 1)
        for _ in range(self.count // _BATCH):
            yield torch.rand(_BATCH, 3, _SIZE, _SIZE, generator=generator), boxes


def build(count: int) -> int:
    """Builds a dictionary of ``count`` faces and returns the peak memory in bytes."""
    import resource

    import torch

    from fdsr.models.backbones.encoder import TinyEncoder
    from fdsr.preparation.dictionary.building import DictionaryBuilder
    torch.set_num_threads(1)
    DictionaryBuilder(TinyEncoder(), _SIZE, 0.3125, _ATOMS).build(Noise(count))
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--faces', type=int, nargs='+', default=[1000, 2000, 4000],
                        metavar='N', help='numbers of faces (default: 1000 2000 4000)')
    parser.add_argument('--quick', action='store_true', help='small run as a check')
    parser.add_argument('--build', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        print(json.dumps(build(args.build)))
        return
    import numpy as np
    counts = _QUICK if args.quick else args.faces
    peaks = []
    for count in counts:
        done = subprocess.run([sys.executable, __file__, '--build', str(count)],
                              stdout=subprocess.PIPE, text=True, check=True)
        peaks.append(json.loads(done.stdout.splitlines()[-1]))
        print(f'{count:7} faces: peak {peaks[-1] / 1e6:7.0f} MB')
    slope = np.polyfit(counts, peaks, 1)[0]
    print(f'{slope / 1e3:.1f} kB per face; 10,000 faces: {slope * 1e4 / 1e6:.0f} MB '
          'in addition to atoms and encoder')
    print(f'dictionary_memory: ratio {max(slope, 1) / _KEPT:.2f}')


if __name__ == '__main__':
    main()
