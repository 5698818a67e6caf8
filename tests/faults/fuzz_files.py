"""Seeded damage to model files, manifests, LMDBs and CSVs.

``cases`` yields the damage, ``outcome`` runs a case. Each case ends in the undamaged
result, or in an error that names the file. A damaged file may kill the process (LMDB
did), so run the cases in a child process::

    python -m tests.faults.fuzz_files SEED COUNT
"""
from __future__ import annotations

import io
import itertools
import json
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from fdsr.weights import ModelFileError

#: Seconds after which a case counts as hung.
LIMIT = 20
_SIZE, _FACES = 16, 6
TINY = dict(type='fdsr.RCAN', scale=2, channels=4, groups=1, blocks=1, reduction=2)
_ODD = (None, True, -1, 2**70, 1e300, float('nan'), '', 'x' * 5000, 'fdsr.RCAN', b'x',
        [], [[]], {}, {1: 2}, {(1, 2): 3}, {None: None}, (1,), torch.zeros(1),
        {'type': 'subprocess.Popen', 'args': ['touch', 'ran']})


class Silent(AssertionError):
    """A case whose result is wrong without an error."""


class Case(NamedTuple):
    """A damaged input.

    Attributes:
        name: kind, number and damage, unique for a seed.
        mutate: writes the damaged input into a folder and returns its path.
        load: loads the path; raises an error that names the file, or ``Silent``.
    """

    name: str
    mutate: Callable[[Path], Path]
    load: Callable[[Path], Any]


def cases(seed: int, count: int = 1000) -> Iterator[Case]:
    """Yields cases; equal seeds yield equal cases.

    Args:
        seed: seed of the damage.
        count: number of cases.
    """
    draws = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        kinds = [*_model_kinds(Path(folder)), *_face_kinds(Path(folder)), _csv_kind()]
    for number, kind in zip(range(count), itertools.cycle(kinds)):
        yield kind(f'{number:05d}', random.Random(draws.random()))


def outcome(case: Case, folder: Path) -> str:
    """Runs a case and returns ``same result`` or ``refused``.

    Args:
        case: the case.
        folder: an empty folder.

    Raises:
        Silent: the result is wrong.
        Exception: an error of another family, or one that does not name the file.
    """
    path = case.mutate(folder)
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(LIMIT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            case.load(path)
    except Exception as error:
        if not is_named(error, path):
            raise
        return 'refused'
    finally:
        signal.alarm(0)
    if (folder / 'ran').exists() or Path('ran').exists():
        raise Silent('code in the file was executed')
    return 'same result'


def is_named(error: Exception, path: Path) -> bool:
    """Returns whether an error belongs to the family and names the file."""
    family = (ModelFileError, ValueError, OSError)
    # `path` is a folder for a manifest, whose error names the file in it
    return isinstance(error, family) and path.name in str(error)


def _too_slow(*_: Any) -> None:
    raise Silent(f'no result within {LIMIT} s')


# Damage

def damaged(data: bytes, draws: random.Random) -> tuple[str, bytes]:
    """Returns the name of a damage, and the damaged bytes."""
    size = len(data)
    place = draws.randrange(size)
    length = min(draws.choice((1, 4, 64, 4096)), size - place)
    kind = draws.choice(('bit', 'bit', 'bit', 'byte', 'number', 'cut', 'zeros', 'noise',
                         'lost', 'twice', 'end', 'text', 'empty'))
    changed = bytearray(data)
    if kind == 'bit':
        changed[place] ^= 1 << draws.randrange(8)
    elif kind == 'byte':
        changed[place] = draws.randrange(256)
    elif kind == 'number':  # a size or an offset
        changed[place:place + 4] = draws.choice((0, 1, 2**31 - 1, 2**32 - 1)).to_bytes(
            4, 'little')
    elif kind == 'cut':
        del changed[place:]
    elif kind == 'zeros':
        changed[place:place + length] = bytes(length)
    elif kind == 'noise':
        changed[place:place + length] = draws.randbytes(length)
    elif kind == 'lost':
        del changed[place:place + length]
    elif kind == 'twice':
        changed[place:place] = data[place:place + length]
    elif kind == 'end':
        changed += draws.randbytes(length)
    elif kind == 'text':
        changed[:] = b'<html><body>404: Not Found</body></html>\n'
    else:
        changed.clear()
    return f'{kind} at {place} of {size}', bytes(changed)


def _replaced(content: Any, draws: random.Random) -> str:
    """Replaces, removes or adds a value at a random place; returns the place."""
    holder, place = content, ''
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return f'{place} is empty'
        key = draws.choice(keys)
        place += f'.{key}'
        if isinstance(holder[key], (dict, list)) and draws.random() < 0.8:
            holder = holder[key]
            continue
        if draws.random() < 0.3:
            del holder[key]
            return f'{place} removed'
        value = draws.choice(_ODD)
        if isinstance(holder[key], torch.Tensor) and draws.random() < 0.8:
            value = _other_tensor(holder[key], draws)
        holder[key] = value
        if isinstance(holder, dict) and draws.random() < 0.2:
            holder[draws.choice((5, 'unknown', None))] = value
        return f'{place} = {str(value)[:40]}'


def _other_tensor(value: torch.Tensor, draws: random.Random) -> torch.Tensor:
    return draws.choice((
        lambda: value * float('nan'), lambda: value.double() + 1e300,
        lambda: value.int(), lambda: value.bool(), lambda: value * 1j,
        lambda: value[None], lambda: value.reshape(-1)[:0], lambda: value.to_sparse(),
        lambda: value.to('meta'), lambda: value.double() + 1,
        lambda: value.reshape(-1)[:1].expand(10**9)))()


# Model files

def _model_kinds(folder: Path) -> list[Callable]:
    from fdsr.models.files.checkpoints import save_backbone
    from fdsr.registry import MODELS
    torch.manual_seed(0)
    network = MODELS.build(TINY)
    files = {}
    for name in ('model.pth', 'model.safetensors'):
        save_backbone(network, TINY, folder / name, licence='MIT')
        files[name] = (folder / name).read_bytes()
    content = torch.load(folder / 'model.pth', weights_only=True)
    torch.save(content, folder / 'legacy.pth', _use_new_zipfile_serialization=False)
    files['legacy.pth'] = (folder / 'legacy.pth').read_bytes()
    kinds = [_bytes_kind(name, data, _model_loader(network.state_dict()))
             for name, data in files.items()]
    return [*kinds, _structure_kind(files['model.pth'], network.state_dict())]


def _model_loader(expected: dict[str, torch.Tensor]) -> Callable[[Path], None]:
    def load(path: Path) -> None:
        from fdsr.models.files.checkpoints import load_backbone
        found = load_backbone(path)
        state = found.state_dict()
        if state.keys() != expected.keys() or not all(
                torch.equal(value, state[key]) for key, value in expected.items()):
            raise Silent('other weights')
        if found.scale != TINY['scale']:
            raise Silent(f'scale {found.scale}')
    return load


def _bytes_kind(file: str, data: bytes, load: Callable[[Path], Any]) -> Callable:
    """Returns a maker of cases with damaged bytes of one file."""
    def make(number: str, draws: random.Random) -> Case:
        what, changed = damaged(data, draws)

        def mutate(folder: Path) -> Path:
            (folder / file).write_bytes(changed)
            return folder / file
        return Case(f'{file} {number}: {what}', mutate, load)
    return make


def _structure_kind(data: bytes, expected: dict[str, torch.Tensor]) -> Callable:
    """Returns a maker of valid torch files with odd descriptions and tensors."""
    def make(number: str, draws: random.Random) -> Case:
        content = torch.load(io.BytesIO(data), weights_only=True)
        what = _replaced(content, draws)

        def mutate(folder: Path) -> Path:
            torch.save(content, folder / 'described.pth')
            return folder / 'described.pth'
        return Case(f'described.pth {number}: {what}', mutate, _model_loader(expected))
    return make


# Prepared faces

def _face_kinds(folder: Path) -> list[Callable]:
    kinds = []
    for storage, encoding in (('lmdb', 'raw'), ('lmdb', 'png'), ('folder', 'jpeg')):
        root = folder / f'{storage}-{encoding}'
        _write_faces(root, storage, encoding)
        files = {str(path.relative_to(root)): path.read_bytes()
                 for path in sorted(root.rglob('*')) if path.is_file()}
        expected = _faces_of(root)
        targets = [file for file in files if storage == 'lmdb' or '.jpg' not in file]
        targets += [next(file for file in files if file not in targets)
                    ] if storage == 'folder' else []
        kinds += [_faces_kind(files, file, expected) for file in targets]
    return kinds


def _write_faces(root: Path, storage: str, encoding: str) -> None:
    from zlib import crc32

    from fdsr.datasets.image_storage import SUFFIXES, FolderImages, LmdbWriter, encode
    from fdsr.datasets.manifest import (
        INDEX,
        Shard,
        digest_of,
        record_type,
        write_manifest,
    )
    shard = root / 'train' / '000000'
    shard.mkdir(parents=True)
    noise = np.random.default_rng(0)
    images = (LmdbWriter(shard, 1 << 24) if storage == 'lmdb' else
              FolderImages(shard, SUFFIXES[encoding]))
    records = np.zeros(_FACES, record_type(20))
    for key, record in enumerate(records):
        image = noise.integers(0, 256, (_SIZE, _SIZE, 3), np.uint8)
        name, data = f'person/{key:04d}', encode(image, encoding)
        images.write(key, name, data)
        record['name'], record['key'], record['crc'] = name.encode(), key, crc32(data)
        record['landmarks'] = noise.uniform(0, _SIZE, (5, 2))
    images.close()
    np.save(shard / INDEX, records)
    write_manifest(root / 'train', dict(
        split='train', size=_SIZE, alignment='none', eye_share=0.3, storage=storage,
        encoding=encoding, source='noise'),
        [Shard('000000', _FACES, digest_of(shard / INDEX))])


def _faces_of(root: Path) -> tuple[list[Any], list[str], Any]:
    """Returns items, reasons of missing ones, and the facts of a dataset."""
    from fdsr.datasets import FaceManifestDataset
    faces = FaceManifestDataset(root, report_dir=root.parent / f'{root.name}-report',
                                max_bad_share=1)
    items = [faces[index] for index in range(len(faces))]
    rows = [row['reason'] for row in faces.report.rows()]
    faces.manifest.close()
    return items, rows, json.loads(json.dumps({**faces.protocol(), 'data': ''}))


def _faces_kind(files: dict[str, bytes], target: str, expected: Any) -> Callable:
    """Returns a maker of datasets of which one file is damaged."""
    def make(number: str, draws: random.Random) -> Case:
        what, changed = damaged(files[target], draws)

        def mutate(folder: Path) -> Path:
            for file, data in files.items():
                path = folder / 'faces' / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(changed if file == target else data)
            return folder / 'faces'

        def load(path: Path) -> None:
            items, rows, facts = _faces_of(path)
            if facts != expected[2] or len(items) != len(expected[0]):
                raise Silent('other facts')
            for item, right in zip(items, expected[0]):
                if item is None and not all(rows):
                    raise Silent('a face is missing without a reason')
                if item is not None and not (
                        item['name'] == right['name']
                        and np.array_equal(item['img'], right['img'])
                        and np.array_equal(item['landmarks'], right['landmarks'])):
                    raise Silent(f'another face {right["name"]}')
            if items.count(None) > len(rows):
                raise Silent('faces are missing without a reason')
        return Case(f'{target} {number}: {what}', mutate, load)
    return make


# CSVs

def _csv_kind() -> Callable:
    """Returns a maker of landmark CSVs, whose numbers have no checksum."""
    from fdsr.datasets.vggface2_files import LANDMARK_COLUMNS, read_csv
    rows = [f'"n{row:06d}/0001_01",' + ','.join(
        f'{16 * column + row}.5' for column in range(10)) for row in range(40)]
    data = '\n'.join([','.join(('NAME_ID', *LANDMARK_COLUMNS)), *rows, '']).encode()

    def load(path: Path) -> None:
        names, numbers = read_csv(path, LANDMARK_COLUMNS)
        if len(names) != len(numbers) or numbers.shape[1:] != (10,):
            raise Silent('names and numbers of different lengths')
    return _bytes_kind('landmarks.csv', data, load)


def main(seed: int, count: int) -> int:
    """Runs cases, prints each failure and a summary; returns the number of failures."""
    found, failures, start = Counter(), 0, time.perf_counter()
    for case in cases(seed, count):
        with tempfile.TemporaryDirectory() as folder:
            try:
                found[case.name.split()[0], outcome(case, Path(folder))] += 1
            except Exception as error:
                failures += 1
                print(f'{case.name}: {type(error).__name__}: {str(error)[:300]}',
                      flush=True)
    for (kind, what), number in sorted(found.items()):
        print(f'{kind}: {what} {number}')
    print(f'{count} cases, {failures} failures, {time.perf_counter() - start:.0f} s')
    return failures


if __name__ == '__main__':
    sys.exit(bool(main(*map(int, sys.argv[1:]))))
