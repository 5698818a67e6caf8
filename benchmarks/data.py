"""Compares the reading speed of fdsr's datasets with torchvision's ImageFolder.

    python benchmarks/data.py [--pictures 400] [--source-side 500] [--size 256]
        [--remote] [--quick]

Renders JPEG images in VGGFace2's layout (or uses ``--data-root``), prepares them in
every storage format, and reads all of them with one process: ImageFolder with the same
PIL bicubic resize, without crops and landmarks; VGGFace2Dataset, which also crops; and
FaceManifestDataset. The datasets alternate after every few faces, so that other load
affects all of them equally. For each few faces, the fastest of several readings counts.

``--remote`` also reads the tar files from an S3 interface on this machine (moto's
server in another process), in the order of ``EpochSampler(shards=2)``: once with an
empty cache, and once from the cache.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
from PIL import Image

#: {name: (encoding, storage)} of the prepared sets.
PREPARED = {'prepared, JPEG folder': ('jpeg', 'folder'),
            'prepared, PNG folder': ('png', 'folder'),
            'prepared, JPEG in tar': ('jpeg', 'tar'),
            'prepared, JPEG in LMDB': ('jpeg', 'lmdb'),
            'prepared, raw in LMDB': ('raw', 'lmdb')}
#: Faces per shard.
SHARD = 100
#: Number of parts of the faces, between which the datasets alternate.
FEW = 16
PLAIN, FDSR = 'torchvision ImageFolder', 'VGGFace2Dataset, {} px JPEG'


def render_layout(root: Path, num_images: int, side: int) -> None:
    """Writes synthetic faces in VGGFace2's layout. The face fills most of the image.

    Args:
        root: output folder.
        num_images: number of images.
        side: side of the images in pixels.
    """
    from fdsr.datasets import SyntheticFacesDataset
    from fdsr.datasets.vggface2_files import BOX_COLUMNS, LANDMARK_COLUMNS
    faces = SyntheticFacesDataset(min(num_images, 40), size=128, faces_per_identity=4)
    (root / 'bb_landmark').mkdir(parents=True)
    boxes, points = [('NAME_ID', *BOX_COLUMNS)], [('NAME_ID', *LANDMARK_COLUMNS)]
    for number in range(num_images):
        item = faces[number % len(faces)]
        name = f'n{number // 4:06d}/{number % 4:04d}_01'
        path = root / 'train' / f'{name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        grain = np.random.RandomState(number).normal(0, 6, (side, side, 1))
        image = np.asarray(Image.fromarray(item['img']).resize((side, side)), float)
        Image.fromarray((image + grain).clip(0, 255).astype(np.uint8)).save(
            path, quality=90)
        boxes.append((f'"{name}"', side * 3 // 16, side // 8, side * 5 // 8,
                      side * 3 // 4))
        points.append((f'"{name}"', *(
            f'{value:.2f}' for value in (item['landmarks'] * side / 128).ravel())))
    for kind, rows in dict(bb=boxes, landmark=points).items():
        (root / 'bb_landmark' / f'loose_{kind}_train.csv').write_text(
            ''.join(','.join(map(str, row)) + '\n' for row in rows))


def readers(root: Path, work: Path, size: int) -> dict[str, tuple[Any, float]]:
    """Returns all datasets and their size on disk in MiB."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import InterpolationMode, Resize

    from fdsr.datasets import FaceManifestDataset, VGGFace2Dataset
    from fdsr.preparation.faces.prepare import prepare
    from fdsr.preparation.faces.settings import Settings
    resize = Resize((size, size), InterpolationMode.BICUBIC)
    images = root / 'train'
    faces = VGGFace2Dataset(root, size=size, cache_dir=work / 'index')
    with Image.open(faces.images / faces.index.path(0)) as first:
        side = first.width
    sets = {PLAIN: (ImageFolder(images, lambda image: np.asarray(resize(image))),
                    mebibytes(images)),
            FDSR.format(side): (faces, mebibytes(images))}
    for name, (encoding, storage) in PREPARED.items():
        out = work / f'{encoding}_{storage}'
        prepare(Settings(str(root), size=size, align='box', encoding=encoding,
                         storage=storage, shard_size=SHARD), out)
        sets[name] = FaceManifestDataset(out), mebibytes(out / 'train')
    return sets


def mebibytes(folder: Path) -> float:
    """Returns the size of all files below a folder in MiB."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return sum(path.stat().st_size for path in files) / 2**20


def best_rates(sets: dict[str, Any], rounds: int) -> dict[str, float]:
    """Returns faces per second of CPU time, from the fastest readings."""
    few = np.array_split(np.random.RandomState(0).permutation(
        len(next(iter(sets.values())))), FEW)
    best = {name: [float('inf')] * len(few) for name in sets}
    names = list(sets)
    for turn in range(rounds * len(few)):
        part = turn % len(few)
        np.random.RandomState(turn).shuffle(names)
        for name in names:
            best[name][part] = min(best[name][part], seconds(
                sets[name].__getitem__, few[part].tolist()))
    return {name: sum(map(len, few)) / sum(parts) for name, parts in best.items()}


def seconds(read: Callable[[int], Any], order: list[int]) -> float:
    """Returns CPU seconds, because wall-clock time includes other processes."""
    start = time.process_time()
    for index in order:
        read(index)
    return time.process_time() - start


@contextlib.contextmanager
def s3_server() -> Iterator[None]:
    """Runs moto's server in another process, as fsspec's endpoint of S3."""
    import fsspec
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, '-m', 'moto.server', '-p', str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    fsspec.config.conf['s3'] = dict(endpoint_url=f'http://127.0.0.1:{port}', key='key',
                                    secret='secret')
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(
                    ('127.0.0.1', port)):
                break
            time.sleep(0.2)
        yield
    finally:
        server.terminate()
        server.wait()


def remote_rates(folder: Path, work: Path) -> dict[str, tuple[float, float]]:
    """Returns faces per second of CPU and of wall-clock time, from S3 and the cache.

    Args:
        folder: faces prepared in tar files.
        work: folder for the cache.
    """
    from fdsr.datasets import FaceManifestDataset
    from fdsr.datasets.manifest import MANIFEST
    from fdsr.engine.sampler import EpochSampler
    from fdsr.utils import storage
    os.environ['FDSR_REMOTE_CACHE'] = str(work / 'cache')
    rates = {}
    with s3_server():
        storage._system('s3://bench')[0].mkdir('bench')
        storage.upload_folder(folder, 's3://bench/faces', MANIFEST)
        for name in ('S3, empty cache', 'S3, from the cache', 'local tar'):
            faces = FaceManifestDataset(
                folder if name == 'local tar' else 's3://bench/faces')
            order = EpochSampler(faces, seed=0, shards=2).order(0).tolist()
            wall = time.monotonic()
            cpu = seconds(faces.__getitem__, order)
            rates[name] = (len(order) / cpu,
                           len(order) / (time.monotonic() - wall))
    return rates


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data-root', type=Path, help="images in VGGFace2's layout")
    parser.add_argument('--pictures', type=int, default=400)
    parser.add_argument('--source-side', type=int, default=500, metavar='PX')
    parser.add_argument('--size', type=int, default=256)
    parser.add_argument('--rounds', type=int, default=8)
    parser.add_argument('--remote', action='store_true',
                        help='also read from an S3 interface on this machine')
    parser.add_argument('--quick', action='store_true', help='few and small images')
    args = parser.parse_args()
    if args.quick:
        args.pictures, args.source_side, args.size, args.rounds = 16, 200, 64, 1
    with tempfile.TemporaryDirectory() as folder:
        root = args.data_root or Path(folder) / 'data'
        if args.data_root is None:
            render_layout(root, args.pictures, args.source_side)
        found = readers(root, Path(folder), args.size)
        rates = best_rates({name: faces for name, (faces, _) in found.items()},
                           args.rounds)
        remote = remote_rates(Path(folder) / 'jpeg_tar',
                              Path(folder)) if args.remote else {}
    count = len(found[PLAIN][0])
    print(f'{count} images, HR {args.size} px, one process of {os.cpu_count()} '
          f'cores, from the page cache, faces per second of CPU time; best of '
          f'{args.rounds} readings; {"synthetic" if args.data_root is None else root}')
    for name, rate in rates.items():
        print(f'{name:<32}{rate:8.0f} faces/s  ratio {rate / rates[PLAIN]:5.2f}  '
              f'{found[name][1] / count * 1024:7.1f} KiB/face')
    for name, (cpu, wall) in remote.items():
        print(f'{name:<32}{cpu:8.0f} faces/s  {wall:8.0f} faces/s of wall-clock time')
    print(f'data: ratio {rates["prepared, JPEG folder"] / rates[PLAIN]:.2f}')


if __name__ == '__main__':
    main()
