"""Turns the inputs of a command line into jobs, each with a file for its result."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fdsr.apis.images import sort_folder

VIDEOS = ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v')


@dataclass(frozen=True)
class Job:
    """An input file and the file of its result.

    Args:
        source: an image or a video.
        target: the file to write.
    """

    source: Path
    target: Path

    @property
    def is_video(self) -> bool:
        """True if the suffix is one of ``VIDEOS``."""
        return self.source.suffix.lower() in VIDEOS


def find_jobs(inputs: Iterable[str], out: Path,
              skipped: list[tuple[Path, str]] | None = None) -> list[Job]:
    """Returns a job for each input file, in order and without duplicates.

    Args:
        inputs: files, folders (their images and videos), and patterns such as
            ``photos/*.jpg`` that the shell has not expanded.
        out: folder of the results: ``NAME.png`` for an image, ``NAME.mp4`` for a video.
            A second NAME becomes ``NAME_2``.
        skipped: receives what is neither an image nor a video in the folders, with the
            reason.

    Raises:
        FileNotFoundError: a path or a pattern matches no file, or a folder has no
            images and videos.
        ValueError: a result would overwrite an input.
    """
    skipped = [] if skipped is None else skipped
    sources = {path.resolve(): path for text in inputs
               for path in _expanded(text, skipped)}
    jobs: list[Job] = []
    taken = set()
    for source in sources.values():
        suffix = '.mp4' if source.suffix.lower() in VIDEOS else '.png'
        number, target = 1, out / f'{source.stem}{suffix}'
        while target in taken:
            number += 1
            target = out / f'{source.stem}_{number}{suffix}'
        taken.add(target)
        if target.resolve() in sources:
            raise ValueError(
                f'The result of {source} would overwrite {target}, which is also an '
                'input. Name another folder with --out.')
        jobs.append(Job(source, target))
    return jobs


def _expanded(text: str, skipped: list[tuple[Path, str]]) -> Sequence[Path]:
    path = Path(text).expanduser()
    if os.path.isdir(path):  # Path.is_dir raises on a name that is too long
        folder = sort_folder(path, VIDEOS, 'image or video')
        skipped.extend(folder.skipped)
        return folder.files
    if os.path.exists(path):
        return [path]
    files = _matches(path)
    if not files:
        raise FileNotFoundError(f'{text[:1000]} matches no file or folder.')
    return files


def _matches(pattern: Path) -> Sequence[Path]:
    """Returns the files that match a pattern, sorted.

    Brackets in the name of an existing folder are literal. Those in the rest of the
    pattern are literal only if nothing matches otherwise.
    """
    folder = next(parent for parent in pattern.parents if os.path.isdir(parent))
    rest = str(pattern.relative_to(folder))
    for text in (rest, rest.replace('[', '[[]')):
        found = glob.glob(os.path.join(glob.escape(str(folder)), text), recursive=True)
        files = sorted(path for path in map(Path, found) if path.is_file())
        if files:
            return files
    return []
