"""Measures time and memory to build and to open the index of the full VGGFace2.

    python benchmarks/index.py [--rows 3100000]

Generates CSVs and a list with the given number of rows in a temporary folder (with
values and order as in VGGFace2, but no images), builds the index in a new process, and
opens the cached index in another one.
"""
from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

IMAGES_PER_IDENTITY = 360

# The code of each new process. The peak includes Python, numpy and torch.
OPEN = """
import resource, sys, time
from fdsr.datasets.vggface2 import VGGFace2Dataset
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, cpu = time.perf_counter(), time.process_time()
faces = VGGFace2Dataset(sys.argv[1], 'train', min_box_side=128, part='train')
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, cpu, before / 1024, peak / 1024, len(faces))
"""


def generate(root: Path, rows: int, seed: int = 0) -> None:
    """Writes the CSVs and the list of ``train`` with random boxes and landmarks.

    Args:
        root: output folder.
        rows: number of rows.
        seed: random seed.
    """
    draws = np.random.RandomState(seed)
    (root / 'train').mkdir(parents=True)
    (root / 'bb_landmark').mkdir()
    places = [root / 'bb_landmark' / 'loose_bb_train.csv',
              root / 'bb_landmark' / 'loose_landmark_train.csv',
              root / 'train_list.txt']
    with places[0].open('w') as boxes, places[1].open('w') as points, \
            places[2].open('w') as listing:
        boxes.write('NAME_ID,X,Y,W,H\n')
        points.write('NAME_ID,' + ','.join(f'P{n}{axis}' for n in range(1, 6)
                                           for axis in 'XY') + '\n')
        for first in range(0, rows, 100_000):
            _write_rows(range(first, min(first + 100_000, rows)), draws,
                        boxes, points, listing)


def _write_rows(rows: range, draws: np.random.RandomState, boxes, points,
                listing) -> None:
    corners = draws.randint(-20, 120, (len(rows), 2))
    sides = draws.randint(60, 300, (len(rows), 1))
    sides = sides + draws.randint(0, 60, (len(rows), 2))
    unit = np.array([.3, .4, .7, .4, .5, .6, .35, .8, .65, .8])
    landmarks = np.tile(corners, 5) + unit * np.tile(sides, 5)
    for row, box, face in zip(rows, np.hstack([corners, sides]).tolist(),
                              landmarks.tolist()):
        identity, number = divmod(row, IMAGES_PER_IDENTITY)
        name = f'n{identity + 2:06d}/{number + 1:04d}_01'
        boxes.write('"%s",%d,%d,%d,%d\n' % (name, *box))
        points.write(f'"{name}",' + ','.join(['%.3f'] * 10) % tuple(face) + '\n')
        listing.write(f'{name}.jpg\n')


def measure(root: Path) -> dict[str, float]:
    """Opens the dataset in a new process.

    Args:
        root: folder that :func:`generate` wrote.

    Returns:
        ``seconds`` and ``cpu`` seconds; ``before`` and ``peak``, the resident set in
        MiB before and at its peak; and ``kept``, the number of selected faces.
    """
    done = subprocess.run([sys.executable, '-c', OPEN, str(root)], check=True,
                          capture_output=True, text=True)
    values = map(float, done.stdout.split()[-5:])
    return dict(zip(('seconds', 'cpu', 'before', 'peak', 'kept'), values))


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rows', type=int, default=3_100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / 'data'
        generate(root, rows)
        results = {'built': measure(root), 'opened from the cache': measure(root)}
        size = sum(file.stat().st_size for file in root.glob('.fdsr_cache/**/*.npy'))
    print(f'{rows} rows; the cached index has {size / 2**20:.0f} MiB; selection: '
          'min_box_side=128, part=train')
    for what, result in results.items():
        print(f'{what}: {result["seconds"]:.2f} s ({result["cpu"]:.2f} s of CPU time), '
              f'peak {result["peak"]:.0f} MiB '
              f'({result["before"]:.0f} MiB of it before), {result["kept"]:.0f} kept')
    ratio = results['built']['seconds'] / results['opened from the cache']['seconds']
    print(f'index: ratio {ratio:.1f}')


if __name__ == '__main__':
    main()
