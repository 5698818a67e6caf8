"""Storage of the intermediate results of a dictionary build.

The folder contains files of plain numbers, written atomically::

    settings.json                everything the result depends on
    points_000003.npy            (B, slots, D) projections of the first pass, by batch
    labels_mouth_0.npy           (N,) labels of one component and level
    averages.pth                 sums of the second pass and their number of faces
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fdsr.preparation.dictionary.features import Slot
from fdsr.utils.files import atomic_path
from fdsr.weights import safe_load
from fdsr.weights.walking import brief

SETTINGS, _AVERAGES = 'settings.json', 'averages.pth'


class BuildState:
    """Intermediate results of a build.

    Args:
        folder: the folder, created here and deleted by ``remove``.
        settings: plain values that the result depends on.
        save_every: faces between two saves of the second pass, each of which writes all
            atoms in fp32.

    Raises:
        ValueError: the folder belongs to other settings.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any],
                 save_every: int = 1000) -> None:
        self.folder, self.save_every = Path(folder), save_every
        settings = json.loads(json.dumps(settings, default=str))
        path = self.folder / SETTINGS
        if path.is_file():
            self._check(settings, path)
        else:
            if self.folder.is_dir() and not all(  # ignoring an interrupted first write
                    file.name.startswith(f'{SETTINGS}.part')
                    for file in self.folder.iterdir()):
                raise ValueError(
                    f'{self.folder} is not an unfinished dictionary: expected '
                    f'{SETTINGS} in it, found none. Pass another --out.')
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(settings, indent=1)
            _write(path, lambda part: part.write_text(text, encoding='utf-8'))

    def _check(self, settings: dict[str, Any], path: Path) -> None:
        try:
            found = json.loads(path.read_text(encoding='utf-8'))
        except (ValueError, RecursionError) as error:
            raise _damaged(path, str(error)) from error
        if not isinstance(found, dict):
            raise _damaged(path, f'a {type(found).__name__}')
        for key in sorted({*settings, *found}):
            if settings.get(key) != found.get(key):
                raise ValueError(
                    f'{self.folder} is an unfinished dictionary with other settings: '
                    f'{brief(key)}: expected {brief(settings.get(key))}, found '
                    f'{brief(found.get(key))}. Repeat the original command, or delete '
                    'the results and start again with --no-resume.')

    def num_points(self) -> int:
        """Returns the number of batches of the first pass that are stored."""
        return sum(1 for _ in self.folder.glob('points_*.npy'))

    def array(self, name: str) -> np.ndarray | None:
        """Returns a stored array of plain numbers, or None.

        Raises:
            ValueError: the file is damaged.
        """
        path = self.folder / f'{name}.npy'
        if not path.is_file():
            return None
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, EOFError, MemoryError) as error:
            raise _damaged(path, str(error)) from error

    def keep_array(self, name: str, values: np.ndarray) -> None:
        """Writes an array of plain numbers."""
        def save(part: Path) -> None:
            with part.open('wb') as file:
                np.save(file, values)
        _write(self.folder / f'{name}.npy', save)

    def averages(self) -> dict[str, Any] | None:
        """Returns the stored ``seen``, ``squares`` and ``sums``, or None.

        Raises:
            RefusedCheckpointError: the file is damaged or contains other types.
            ValueError: the file contains other values.
        """
        path = self.folder / _AVERAGES
        if not path.is_file():
            return None
        # mapped, because the sums are as large as the atoms
        content = safe_load(path, mmap=True)
        if (not isinstance(content, dict)
                or not isinstance(content.get('seen'), int)
                or not _all_are(float, content.get('squares'))
                or not _all_are(torch.Tensor, content.get('sums'))):
            raise _damaged(path, 'other values than sums')
        return content

    def keep_averages(self, seen: int, squares: dict[Slot, float],
                      sums: dict[Slot, torch.Tensor]) -> None:
        """Writes the state of the second pass.

        Args:
            seen: number of faces in the sums.
            squares: Σ|x|² of each component and level.
            sums: (K, D) of each, in the same order.
        """
        content = dict(seen=seen, squares=list(squares.values()),
                       sums=list(sums.values()))
        _write(self.folder / _AVERAGES, lambda part: torch.save(content, part))

    def remove(self) -> None:
        """Deletes the folder. The settings go last, so that it can be interrupted."""
        for file in self.folder.iterdir():
            if file.name != SETTINGS:
                file.unlink()
        shutil.rmtree(self.folder)


def _all_are(kind: type, values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, kind) for one in values)


def _damaged(path: Path, found: str) -> ValueError:
    return ValueError(
        f'{path} is damaged: expected results of a dictionary build, found: {found}. '
        'Start again with --no-resume, which deletes them.')


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file atomically."""
    try:
        with atomic_path(path) as part:
            write(part)
    except (OSError, RuntimeError) as error:  # torch.save raises RuntimeError
        raise OSError(
            f'{path} cannot be written ({" ".join(str(error).split())}). Free disk '
            'space and run the same command again to resume.') from error
