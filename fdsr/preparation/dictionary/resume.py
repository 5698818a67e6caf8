"""What a builder has finished, on disk: an interrupted build goes on from there.

The folder holds plain numbers, each file whole or not there at all::

    settings.json                what the result depends on
    points_000003.npy            (B, slots, D) projections of the first pass, by batch
    labels_mouth_0.npy           (N,) groups of one component and level
    averages.pth                 sums of the second pass, and how far they have come
"""

import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple, Union

import numpy as np
import torch

from fdsr.utils.files import atomic_path
from fdsr.weights import safe_load
from fdsr.weights.walking import brief

Slot = Tuple[str, int]
SETTINGS, _AVERAGES = 'settings.json', 'averages.pth'


class BuildState:
    """The unfinished part of a dictionary, beside the file it will be.

    Args:
        folder: is made; ``remove`` takes it away again.
        settings: plain values that the result depends on.
        save_every: faces between two saves of the second pass, which writes all
            atoms in fp32 each time.

    Raises:
        ValueError: the folder holds what was made with other settings.
        OSError: it cannot be written; so with all that is to be kept.
    """

    def __init__(self, folder: Union[str, Path], settings: Dict[str, Any],
                 save_every: int = 1000) -> None:
        self.folder, self.save_every = Path(folder), save_every
        settings = json.loads(json.dumps(settings, default=str))
        path = self.folder / SETTINGS
        if path.is_file():
            self._check(settings, path)
        else:
            if self.folder.is_dir() and not all(  # but what a first write left
                    file.name.startswith(f'{SETTINGS}.part')
                    for file in self.folder.iterdir()):
                raise ValueError(
                    f'{self.folder} holds something else than an unfinished '
                    f'dictionary: expected {SETTINGS} in it. Give another --out.')
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(settings, indent=1)
            _write(path, lambda part: part.write_text(text, encoding='utf-8'))

    def _check(self, settings: Dict[str, Any], path: Path) -> None:
        try:
            found = json.loads(path.read_text(encoding='utf-8'))
        except (ValueError, RecursionError) as error:
            raise _damaged(path, str(error)) from error
        if not isinstance(found, dict):
            raise _damaged(path, f'a {type(found).__name__}')
        for key in sorted({*settings, *found}):
            if settings.get(key) != found.get(key):
                raise ValueError(
                    f'{self.folder} is an unfinished dictionary of other settings: '
                    f'{brief(key)}: expected {brief(settings.get(key))}, found '
                    f'{brief(found.get(key))}. '
                    'Repeat the command that began it, or start again with '
                    '--no-resume, which throws it away.')

    def points(self, batch: int) -> Optional[np.ndarray]:
        """(B, slots, D) of a batch of the first pass; None if it is yet to come."""
        return _load_array(self.folder / f'points_{batch:06d}.npy')

    def keep_points(self, batch: int, points: np.ndarray) -> None:
        """Writes a batch of the first pass."""
        self._keep(f'points_{batch:06d}.npy', points)

    def labels(self, component: str, level: int) -> Optional[np.ndarray]:
        """(N,) groups of one component and level; None if they are yet to come."""
        return _load_array(self.folder / f'labels_{component}_{level}.npy')

    def keep_labels(self, component: str, level: int, labels: np.ndarray) -> None:
        """Writes the groups of one component and level."""
        self._keep(f'labels_{component}_{level}.npy', labels)

    def averages(self) -> Optional[Dict[str, Any]]:
        """``seen``, ``squares`` and ``sums`` as last kept; None if they never were.

        Raises:
            RefusedCheckpointError: the file is damaged, or contains more than that.
            ValueError: it contains something else.
        """
        path = self.folder / _AVERAGES
        if not path.is_file():
            return None
        # mapped: the sums are as large as the atoms, and are copied once
        content = safe_load(path, mmap=True)
        if (not isinstance(content, dict)
                or not isinstance(content.get('seen'), int)
                or not _all_are(float, content.get('squares'))
                or not _all_are(torch.Tensor, content.get('sums'))):
            raise _damaged(path, 'something else than sums')
        return content

    def keep_averages(self, seen: int, squares: Dict[Slot, float],
                      sums: Dict[Slot, torch.Tensor]) -> None:
        """Writes how far the second pass has come.

        Args:
            seen: faces summed up.
            squares: Σ|x|² of each component and level.
            sums: (K, D) of each, in the same order.
        """
        content = dict(seen=seen, squares=list(squares.values()),
                       sums=list(sums.values()))
        _write(self.folder / _AVERAGES, lambda part: torch.save(content, part))

    def remove(self) -> None:
        """Takes the folder away, when the dictionary is written.

        The settings go last: what is left when this is cut off is still known.
        """
        for file in self.folder.iterdir():
            if file.name != SETTINGS:
                file.unlink()
        shutil.rmtree(self.folder)

    def _keep(self, name: str, values: np.ndarray) -> None:
        def save(part: Path) -> None:
            with part.open('wb') as file:
                np.save(file, values)
        _write(self.folder / name, save)


def _all_are(kind: type, values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, kind) for one in values)


def _load_array(path: Path) -> Optional[np.ndarray]:
    """Loads an array of plain numbers; None if there is no file.

    Raises:
        ValueError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, found: str) -> ValueError:
    return ValueError(
        f'{path} is damaged: expected what a dictionary build saved, found: {found}. '
        'Start again with --no-resume, which deletes what was saved.')


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file, whole or not."""
    try:
        with atomic_path(path) as part:
            write(part)
    except (OSError, RuntimeError) as error:  # torch.save has RuntimeErrors of its own
        raise OSError(
            f'{path} cannot be written ({" ".join(str(error).split())}). Make room '
            'there and run the same command again: it goes on where it stopped.'
        ) from error
