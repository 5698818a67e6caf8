"""What people name on the command line, as jobs with a place for each result."""

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Sequence

from fdsr.apis.images import SUFFIXES as IMAGES

VIDEOS = ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v')


@dataclass(frozen=True)
class Job:
    """A file, and where its result goes.

    Args:
        source: of the picture or video.
        target: of the result.
    """

    source: Path
    target: Path

    @property
    def is_video(self) -> bool:
        """By the file's suffix."""
        return self.source.suffix.lower() in VIDEOS


def find_jobs(inputs: Iterable[str], out: Path) -> List[Job]:
    """Every file that was named, in order, none twice.

    Args:
        inputs: paths of files and folders, and patterns such as ``photos/*.jpg`` where
            the shell has not expanded them. Of a folder, the pictures and videos in it.
        out: folder of the results: ``NAME.png`` of a picture, ``NAME.mp4`` of a video;
            a second NAME becomes ``NAME_2``.

    Raises:
        FileNotFoundError: a path, or a pattern, that names nothing; a folder without
            pictures and videos.
        ValueError: a result would overwrite what it is made from.
    """
    sources = {path.resolve(): path for text in inputs for path in _expanded(text)}
    jobs: List[Job] = []
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
                f'The result of {source} would overwrite {target}, which is to be read '
                'too. Name another folder with --out.')
        jobs.append(Job(source, target))
    return jobs


def _expanded(text: str) -> Sequence[Path]:
    path = Path(text).expanduser()
    if path.is_dir():
        return _files_in(path)
    if path.exists():
        return [path]
    found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
    files = [path for path in found if path.is_file()]
    if not files:
        raise FileNotFoundError(f'There is no file, folder or pattern of files {text}.')
    return files


def _files_in(folder: Path) -> List[Path]:
    files = sorted(path for path in folder.iterdir()
                   if path.suffix.lower() in IMAGES + VIDEOS and path.is_file())
    if not files:
        raise FileNotFoundError(
            f'There is no picture or video in {folder}: expected files ending in '
            f'{", ".join(IMAGES + VIDEOS)}.')
    return files
