"""Checkpoints in a work directory: which is the last, and which can be resumed."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process

from fdsr.models.files import CheckpointMismatch
from fdsr.utils.files import write_text
from fdsr.weights import RefusedCheckpointError, safe_load

POINTER = 'last_checkpoint'
#: Log message about a complete checkpoint.
SAVED = 'Saved {}.'


class CannotResume(CheckpointMismatch):
    """Raised if a run cannot be resumed; the message has the reason and the remedy."""


@dataclass(frozen=True)
class Checkpoints:
    """The numbered checkpoints of a run.

    Args:
        work_dir: of the run; it has the pointer to the last checkpoint, the name of a
            file relative to ``work_dir``, so that a copied folder refers to itself.
        folder: of the checkpoints, usually ``work_dir``.
        template: name of a checkpoint with ``{}`` in place of the iteration.
    """

    work_dir: Path
    folder: Path
    template: str = 'iter_{}.pth'

    def by_step(self) -> dict[int, Path]:
        """Returns the checkpoints by iteration, complete or not."""
        pattern = re.compile(re.escape(self.template).replace(r'\{\}', r'(\d+)'))
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        found = ((pattern.fullmatch(name), name) for name in names)
        return {int(match[1]): self.folder / name for match, name in found if match}

    def point_to(self, path: Path) -> None:
        """Writes the pointer to the last checkpoint, atomically."""
        write_text(self.work_dir / POINTER, os.path.relpath(path, self.work_dir))

    def pointed(self) -> Path | None:
        """Returns the path that the pointer contains, or None if it has no path."""
        try:
            text = (self.work_dir / POINTER).read_text(encoding='utf-8').strip()
        except (OSError, UnicodeDecodeError):
            return None
        return self.work_dir / text if text.isprintable() and text else None

    def latest(self) -> Path | None:
        """Returns the last checkpoint without a check of its content, or None."""
        return next(iter(self._newest_first()), None)

    def _newest_first(self) -> list[Path]:
        """Returns the checkpoints in the order in which a resume tries them.

        After a resume from an earlier checkpoint, those with a higher number belong to
        the abandoned part of the run. They are older than the file of the pointer, and
        come last.
        """
        steps = self.by_step()
        pointed = self.pointed()
        last = next((step for step, path in steps.items()
                     if pointed is not None and path.name == pointed.name), None)

        def abandoned(step: int) -> bool:
            return last is not None and step > last and (
                steps[step].stat().st_mtime_ns < steps[last].stat().st_mtime_ns)
        return [steps[step] for step in sorted(
            steps, key=lambda step: (abandoned(step), -step))]

    def newest_complete(self, warn: Callable[[str], None]) -> Path | None:
        """Returns the newest checkpoint that loads and whose checksums are correct.

        If the folder has no checkpoint, it is the file that the pointer names, not
        verified.

        Args:
            warn: called with a message if checkpoints are skipped.

        Returns:
            The path, or None if no checkpoint has been saved yet.

        Raises:
            CannotResume: checkpoints were saved, but none can be loaded.
        """
        skipped = []
        for path in self._newest_first():
            try:
                safe_load(path)
            except (RefusedCheckpointError, OSError) as error:
                skipped.append(str(error))
                continue
            if skipped:
                warn(f'Skipped newer checkpoints: {" ".join(skipped)} '
                     f'The run resumes from {path}.')
            return path
        if skipped:
            raise CannotResume(
                f'None of the checkpoints in {self.folder} can be loaded: '
                f'{" ".join(skipped)} Restore one of them, or start again without '
                '--resume.')
        pointed = self.pointed()
        if pointed is not None and pointed.is_file():
            warn(f'{self.folder} has no checkpoint. The run resumes from {pointed}, '
                 f'which {self.work_dir / POINTER} names.')
            return pointed
        if (self.work_dir / POINTER).exists() or self._was_saved():
            raise CannotResume(
                f'{self.folder} has no checkpoint {self.template.format("N")}, but '
                f'{POINTER} or a log says that one was saved. Restore the file, or '
                'start again without --resume.')
        return None

    def _was_saved(self) -> bool:
        """Returns True if a log of the work directory mentions a saved checkpoint."""
        saved = re.compile(re.escape(SAVED).replace(
            r'\{\}', re.escape(self.template).replace(r'\{\}', r'\d+')))
        return any(saved.search(log.read_text(encoding='utf-8', errors='replace'))
                   for log in self.work_dir.glob('*/*.log'))

    def remove_partial(self) -> None:
        """Removes what a killed run left of the files that it was writing."""
        names = '|'.join(re.escape(name).replace(r'\{\}', r'\d+')
                         for name in (self.template, POINTER))
        pattern = re.compile(rf'(best_.*_)?({names})\.part-.*')
        for folder in {self.work_dir, self.folder}:
            for name in os.listdir(folder) if folder.is_dir() else ():
                if pattern.fullmatch(name):
                    (folder / name).unlink(missing_ok=True)


def checkpoints_of(runner: Any) -> Checkpoints:
    """Returns the numbered checkpoints of a run."""
    for hook in runner.hooks:
        if hasattr(hook, 'checkpoints'):
            return hook.checkpoints(runner.work_dir)
    return Checkpoints(Path(runner.work_dir), Path(runner.work_dir))


def on_main_process(function: Callable[[], Path | None]) -> Path | None:
    """Returns the result of a function that only the main process calls.

    Raises:
        Exception: raised by the function, in every process.
    """
    result: list = [None, None]
    if is_main_process():
        try:
            result[0] = function()
        except Exception as error:
            result[1] = error
    broadcast_object_list(result)
    if result[1] is not None:
        raise result[1]
    return result[0]
