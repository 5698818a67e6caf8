"""Extraction of landmarks and boxes from a folder of images to VGGFace2's CSVs."""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from string import whitespace
from typing import Any, ContextManager, NamedTuple
from unicodedata import category

import cv2
import numpy as np

from fdsr.datasets.reading import (
    decode,
    files_below,
    format_at,
    opened,
    read_file,
    strict_decoders,
)
from fdsr.datasets.vggface2_files import SUFFIXES
from fdsr.geometry.five_points import problem_of
from fdsr.landmarks.base import FaceLandmarks, LandmarkDetector
from fdsr.landmarks.choosing import default_detector
from fdsr.landmarks.orientation import oriented_faces
from fdsr.preparation.executor import Executor
from fdsr.preparation.landmarks.landmark_files import LandmarkFiles, write_text
from fdsr.utils import storage

#: Suffixes of images that ``VGGFace2Dataset`` does not read.
OTHER_SUFFIXES = ('.jp2', '.j2k', '.jxl', '.psd', '.dng', '.tga')
#: Minimum of the shorter side in pixels and maximum aspect ratio. Other images have no
#: usable face, and a detector would upsample them to gigabytes.
SMALLEST_SIDE, LONGEST_STRIP = 16, 16
#: Images of a Ray task.
PER_TASK = 32
#: Maximum of the longer side for the detector; larger images are downsampled.
LONGEST_SEEN = 4096
_EXIF_ORIENTATION = 274


@dataclass(frozen=True)
class ExtractionSettings:
    """Settings that determine the rows.

    Args:
        detector: config of a ``LandmarkDetector``; default: ``default_detector()``.
        largest: of several faces, use the one with the largest eye distance; otherwise
            skip the image.
        min_eyes: minimum eye distance in pixels.

    Raises:
        ImportError: no default detector is available.
        ValueError: ``min_eyes`` is negative.
    """

    detector: dict[str, Any] = field(default_factory=default_detector)
    largest: bool = False
    min_eyes: float = 0.0

    def __post_init__(self) -> None:
        if not self.min_eyes >= 0:
            raise ValueError(f'min_eyes is {self.min_eyes}, expected a number >= 0.')


class ImageFile(NamedTuple):
    """Image file: path, NAME_ID, and the reason if it is not processed."""

    path: str
    name: str
    reason: str = ''
    detail: str = ''


class Skipped(NamedTuple):
    """Reason for skipping an image."""

    reason: str
    detail: str = ''


Outcome = FaceLandmarks | Skipped
#: Called with the number of images, and of the finished ones.
Progress = Callable[[int, int], ContextManager[Callable[[int], None]]]


class Summary(NamedTuple):
    """Summary of a folder over all runs.

    Args:
        images: number of images in the folder.
        faces: number of these images with rows in the CSVs.
        skipped: number of skipped images by reason.
        done_now: number of images processed in this run.
    """

    images: int
    faces: int
    skipped: dict[str, int]
    done_now: int


def find_images(source: Path) -> list[ImageFile]:
    """Returns all images in a folder and its subfolders, sorted by path.

    Hidden files and folders are ignored. Of several images that differ only in their
    suffix, the first one is used.

    Raises:
        FileNotFoundError: the folder is missing or contains no image.
    """
    if not storage.is_remote(source) and not source.is_dir():
        raise FileNotFoundError(f'{source} is not a folder. Pass the folder with the '
                                'images.')
    known = tuple(suffix.decode() for suffix in SUFFIXES)
    found, owners = [], {}
    for path in sorted(files_below(source), key=os.fsencode):
        stem, suffix = os.path.splitext(path)
        printable = _printable(path)
        if suffix.lower() not in known + OTHER_SUFFIXES:
            kind = format_at(source / path)
            if kind:
                found.append(ImageFile(path, '', 'format', (
                    f'the dataset does not know the suffix of this {kind} image: '
                    'rename it')))
        elif suffix.lower() not in known:
            found.append(ImageFile(path, '', 'format', (
                f'the dataset does not read {suffix.lower()}: convert it to .png')))
        elif printable != path or path.strip(whitespace) != path:
            found.append(ImageFile(path, '', 'name', (
                'a NAME_ID must be UTF-8 without line breaks and without spaces at its '
                'beginning')))
        elif stem in owners:
            found.append(ImageFile(path, '', 'same name', (
                f'{owners[stem]} has the same NAME_ID {stem}')))
        else:
            owners[stem] = path
            found.append(ImageFile(path, stem))
    if not found:
        raise FileNotFoundError(f'{source} contains no image: expected files '
                                f'ending in {", ".join(known)}.')
    return found


def _printable(path: str) -> str:
    """Escapes a path for a cell: control characters and bytes that are not UTF-8.

    Other spaces than ASCII's and joined emoji are kept.
    """
    text = path.encode('utf-8', 'backslashreplace').decode('utf-8')
    return ''.join(letter if category(letter) not in ('Cc', 'Zl', 'Zp')
                   else repr(letter)[1:-1]
                   for letter in text)


class Examiner:
    """Finder of the face in each image of a folder.

    The detector is built at the first call, in the calling process.

    Args:
        source: folder of the images.
        settings: the settings.
    """

    def __init__(self, source: Path, settings: ExtractionSettings) -> None:
        self.source, self.settings = source, settings
        self._detector: LandmarkDetector | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_detector': None}

    def __call__(self, path: str) -> Outcome:
        """Returns the face of an image, or the reason for skipping it.

        Args:
            path: path relative to the folder.

        Raises:
            ImportError, FileNotFoundError, ValueError: the detector cannot be built.
        """
        if self._detector is None:
            self._detector = ready_detector(self.settings.detector)
        read = self._read(path)
        if isinstance(read, Skipped):
            return read
        image, orientation = read
        try:
            faces = self._faces(image)
        except Exception as error:  # one of millions of images must not end the run
            return Skipped('detector failed', f'{type(error).__name__}: {error}')
        return self._choose(faces, orientation)

    def _read(self, path: str) -> Skipped | tuple[np.ndarray, int]:
        """Returns the image, read as in the dataset, and its EXIF orientation."""
        file = self.source / path
        # a pipe would block; a link can be broken
        if not storage.is_remote(file) and not file.is_file():
            return Skipped('unreadable', 'it is not a file')
        try:
            content = read_file(file)
            with strict_decoders(None), opened(content) as image:
                unusable = _unusable(image)
                orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
            return unusable or (np.asarray(decode(content)), orientation)
        except storage.StorageError:
            raise
        except Exception as error:  # decoders raise many types for damaged files
            cause = error
        return Skipped('unreadable', str(cause).replace(str(self.source), '').strip()
                       or type(cause).__name__)

    def _faces(self, image: np.ndarray) -> list[FaceLandmarks]:
        """Returns the faces in pixels of the image."""
        height, width = image.shape[:2]
        factor = min(1.0, LONGEST_SEEN / max(height, width))
        if factor == 1:
            return oriented_faces(self._detector, image)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        scale = np.array([width, height]) / size
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        back = np.column_stack([np.diag(scale), (scale - 1) / 2])
        return [face.transformed(back)
                for face in oriented_faces(self._detector, small)]

    def _choose(self, faces: list[FaceLandmarks], orientation: int) -> Outcome:
        turned = '' if orientation == 1 else (
            f'the dataset does not apply its EXIF orientation {orientation}: rotate '
            'its pixels')
        if not faces:
            return Skipped('no face', turned)
        if len(faces) > 1 and not self.settings.largest:
            return Skipped('several faces', str(len(faces)))
        face = faces[0]
        if not np.isfinite(face.points).all():
            return Skipped('no face', 'the detector returned NaN')
        if face.eye_distance < max(self.settings.min_eyes, 1):
            return Skipped('too small', f'eyes {face.eye_distance:.1f} px apart')
        problem = problem_of(face.points)
        return Skipped('pose', turned or problem) if problem else face


def _unusable(image: Any) -> Skipped | None:
    """Checks the size of an image from its header."""
    short, long = sorted(image.size)
    if short < SMALLEST_SIDE:
        return Skipped('too small', f'{image.width}x{image.height} pixels')
    if long > LONGEST_STRIP * short:
        return Skipped('shape', f'{image.width}x{image.height} pixels: a strip')
    return None


def ready_detector(config: dict[str, Any]) -> LandmarkDetector:
    """Builds a detector and runs it once, so that missing files are reported early.

    Raises:
        FileNotFoundError, ImportError, KeyError, ValueError: it cannot be built.
    """
    from fdsr.registry import LANDMARKS, register_all
    register_all()
    try:
        detector = LANDMARKS.build(dict(config))
    except TypeError as error:
        raise ValueError(f'{config["type"]} cannot be built with its options '
                         f'({error}). Pass them as --detector-options KEY=VALUE.'
                         ) from error
    detector.detect_faces(np.zeros((64, 64, 3), np.uint8))
    return detector


def extract(source: Path, images: list[ImageFile], files: LandmarkFiles,
            settings: ExtractionSettings, progress: Progress,
            executor: Executor | None = None) -> Summary:
    """Adds the missing rows in the order of the paths.

    An interrupted run can be resumed; the files depend neither on interruptions nor on
    the executor. New images are appended. Changed images are not processed
    again.

    Args:
        source: folder of images, ``identity/image`` or flat.
        images: result of ``find_images``.
        files: output files.
        settings: the settings.
        progress: creates the progress report.
        executor: runs the detector; default: this process.

    Raises:
        FileNotFoundError, ImportError, ValueError: the detector cannot be built.
        CannotWriteLandmarks: the disk is full.
        RuntimeError: a worker died, or the cluster cannot be used.
    """
    todo = [image for image in images
            if _printable(image.path) not in files.without
            and (image.reason or image.name not in files.with_face)]
    paths = [image.path for image in todo if not image.reason]
    outcomes = (executor or Executor()).map(Examiner(source, settings), paths, PER_TASK)
    with closing(outcomes), progress(
            len(images), len(images) - len(todo)) as update:
        for image in todo:
            outcome = (Skipped(image.reason, image.detail) if image.reason
                       else next(outcomes))
            if isinstance(outcome, Skipped):
                files.skip(_printable(image.path), *outcome)
            else:
                files.add(image.name, outcome.points, outcome.loose_box())
            update(1)
    return _summary(images, files, len(todo))


def _summary(images: list[ImageFile], files: LandmarkFiles, done_now: int) -> Summary:
    here = {_printable(image.path) for image in images}
    reasons = Counter(reason for path, reason in files.skipped_reasons()
                      if path in here)
    faces = sum(image.name in files.with_face for image in images if image.name)
    return Summary(len(images), faces, dict(sorted(reasons.items())), done_now)


def write_list(path: Path, images: list[ImageFile], files: LandmarkFiles) -> None:
    """Writes VGGFace2's list of the images with a face, sorted by path.

    Without it, the dataset assumes the suffix ``.jpg``.
    """
    write_text(path, ''.join(
        f'{image.path}\n' for image in images
        if image.name and image.name in files.with_face))
