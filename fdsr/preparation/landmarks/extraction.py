"""Landmarks and boxes of a folder of images, as VGGFace2's CSVs hold them."""

import os
import warnings
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

import cv2
import numpy as np

from fdsr.datasets.base import BadSample
from fdsr.datasets.reading import files_below, read_image
from fdsr.datasets.vggface2_files import SUFFIXES
from fdsr.datasets.workers import in_processes
from fdsr.landmarks.base import FaceLandmarks, LandmarkDetector
from fdsr.landmarks.choosing import default_detector
from fdsr.preparation.landmarks.landmark_files import LandmarkFiles, write_whole

#: Files that are images, but none that ``VGGFace2Dataset`` looks for.
OTHER_SUFFIXES = ('.gif', '.tif', '.tiff', '.jfif', '.jp2', '.heic', '.avif')
#: An image's shorter side in pixels, and its longer one in shorter ones: what is
#: beyond these shows no face, and a detector would enlarge it to gigabytes.
SMALLEST_SIDE, LONGEST_STRIP = 16, 16
#: Longer sides are shrunk to this before faces are looked for.
LONGEST_SEEN = 4096
_EXIF_ORIENTATION = 274


@dataclass(frozen=True)
class ExtractionSettings:
    """What the rows depend on.

    Args:
        detector: config of a ``LandmarkDetector``; default: ``default_detector()``.
        largest: of several faces, take the one whose eyes are the furthest apart;
            else such an image is skipped.
        min_eyes: skip faces whose eyes are closer, in pixels.

    Raises:
        ImportError: none is given, and none is available.
        ValueError: ``min_eyes`` is negative.
    """

    detector: Dict[str, Any] = field(default_factory=default_detector)
    largest: bool = False
    min_eyes: float = 0.0

    def __post_init__(self) -> None:
        if not self.min_eyes >= 0:
            raise ValueError(f'min_eyes is {self.min_eyes}, expected a number >= 0.')


class ImageFile(NamedTuple):
    """A file: its path in the folder, and why it is not looked at, if it is not."""

    path: str
    name: str
    reason: str = ''
    detail: str = ''


class Skipped(NamedTuple):
    """An image without a row, and why."""

    reason: str
    detail: str = ''


Outcome = Union[FaceLandmarks, Skipped]
#: Called with the number of images, and of those that are done.
Progress = Callable[[int, int], ContextManager[Callable[[int], None]]]


class Summary(NamedTuple):
    """What a folder gave, over all runs.

    Args:
        images: in the folder.
        faces: rows of the CSVs that are of these images.
        skipped: how many images were left out, by reason.
        done_now: images that this run looked at.
    """

    images: int
    faces: int
    skipped: Dict[str, int]
    done_now: int


def find_images(source: Path) -> List[ImageFile]:
    """All images of a folder and of the folders in it, in the order of their paths.

    Hidden files and folders are passed over. Of several images that differ in their
    suffix only, the first one has the name.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
    """
    if not source.is_dir():
        raise FileNotFoundError(f'{source} is not a folder. Name the folder that holds '
                                'the images.')
    known = tuple(suffix.decode() for suffix in SUFFIXES)
    found, owners = [], {}
    for path in sorted(files_below(source), key=os.fsencode):
        stem, suffix = os.path.splitext(path)
        if suffix.lower() not in known + OTHER_SUFFIXES:
            continue
        printable = _printable(path)
        if suffix.lower() not in known:
            found.append(ImageFile(path, '', 'format', (
                f'{suffix.lower()} is not read by the dataset: convert it to .png')))
        elif printable != path or path.strip() != path:
            found.append(ImageFile(path, '', 'name', (
                'a NAME_ID of UTF-8 letters is needed, without line breaks and spaces '
                'at its beginning')))
        elif stem in owners:
            found.append(ImageFile(path, '', 'same name', (
                f'{owners[stem]} has the NAME_ID {stem} already')))
        else:
            owners[stem] = path
            found.append(ImageFile(path, stem))
    if not found:
        raise FileNotFoundError(f'There is no image in {source}: expected files '
                                f'ending in {", ".join(known)}.')
    return found


def _printable(path: str) -> str:
    """The path as a cell: no line breaks, no bytes that are not UTF-8."""
    text = path.encode('utf-8', 'backslashreplace').decode('utf-8')
    return ''.join(letter if letter.isprintable() else repr(letter)[1:-1]
                   for letter in text)


class Examiner:
    """Finds the face of one image after the other.

    The detector is made at the first call, in the process that calls.

    Args:
        source: the images' folder.
        settings: see there.
    """

    def __init__(self, source: Path, settings: ExtractionSettings) -> None:
        self.source, self.settings = source, settings
        self._detector: Optional[LandmarkDetector] = None

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, '_detector': None}

    def __call__(self, path: str) -> Outcome:
        """The face of an image, or why there is none.

        Args:
            path: in the folder.

        Raises:
            ImportError, FileNotFoundError, ValueError: the detector cannot be made.
        """
        if self._detector is None:
            self._detector = ready_detector(self.settings.detector)
        read = self._read(path)
        if isinstance(read, Skipped):
            return read
        image, orientation = read
        try:
            faces = self._faces(image)
        except Exception as error:  # one image of millions must not end the run
            return Skipped('detector failed', f'{type(error).__name__}: {error}')
        return self._choose(faces, orientation)

    def _read(self, path: str) -> Union[Skipped, Tuple[np.ndarray, int]]:
        """The image as the dataset reads it, and its EXIF orientation."""
        from PIL import Image
        file = self.source / path
        if not file.is_file():  # a pipe would be waited for, a broken link is none
            return Skipped('unreadable', 'it is no file')
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # about size and damaged EXIF
                with Image.open(file) as image:
                    unusable = _unusable(image)
                    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
                return unusable or (read_image(file, path), orientation)
        except BadSample as error:
            cause = error.__cause__ or error
        except Exception as error:  # decoders raise nearly anything on broken files
            cause = error
        return Skipped('unreadable', str(cause).replace(str(self.source), '').strip()
                       or type(cause).__name__)

    def _faces(self, image: np.ndarray) -> List[FaceLandmarks]:
        """The image's faces, in its own pixels."""
        height, width = image.shape[:2]
        factor = min(1.0, LONGEST_SEEN / max(height, width))
        if factor == 1:
            return self._detector.detect_faces(image)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        scale = np.array([width, height]) / size
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return [FaceLandmarks(((face.points + 0.5) * scale - 0.5).astype(np.float32))
                for face in self._detector.detect_faces(small)]

    def _choose(self, faces: List[FaceLandmarks], orientation: int) -> Outcome:
        if not faces:
            return Skipped('no face', '' if orientation == 1 else (
                f'its EXIF orientation {orientation} is not applied by the dataset: '
                'turn its pixels'))
        if len(faces) > 1 and not self.settings.largest:
            return Skipped('several faces', str(len(faces)))
        face = faces[0]
        if not np.isfinite(face.points).all():
            return Skipped('no face', 'the detector gave no numbers')
        if face.eye_distance < max(self.settings.min_eyes, 1):
            return Skipped('too small', f'eyes {face.eye_distance:.1f} px apart')
        return face


def _unusable(image: Any) -> Optional[Skipped]:
    """Why an image of which the header is read is not looked at, or None."""
    short, long = sorted(image.size)
    if short < SMALLEST_SIDE:
        return Skipped('too small', f'{image.width}x{image.height} pixels')
    if long > LONGEST_STRIP * short:
        return Skipped('shape', f'{image.width}x{image.height} pixels: a strip')
    return None


def ready_detector(config: Dict[str, Any]) -> LandmarkDetector:
    """A detector that has looked at an image, so that what it lacks shows now.

    Raises:
        FileNotFoundError, ImportError, KeyError, ValueError: it cannot be made.
    """
    from fdsr.registry import LANDMARKS, register_all
    register_all()
    try:
        detector = LANDMARKS.build(dict(config))
    except TypeError as error:
        raise ValueError(f'{config["type"]} cannot be made of its options ({error}). '
                         'Give them as --detector-options KEY=VALUE.') from error
    detector.detect_faces(np.zeros((64, 64, 3), np.uint8))
    return detector


def extract(source: Path, images: List[ImageFile], files: LandmarkFiles,
            settings: ExtractionSettings, progress: Progress,
            num_workers: int = 0) -> Summary:
    """Adds the rows that the files lack, in the order of the images' paths.

    A run that was cut off is gone on with, and gives the same files as one that was
    not, whatever the number of workers. Images that came into the folder since stand
    behind those that were done; an image whose content changed is not looked at again.

    Args:
        source: folder of images, ``identity/image`` or flat.
        images: what ``find_images`` found in it.
        files: where the rows go.
        settings: see there.
        progress: shows how far it is.
        num_workers: processes that look for faces; 0: this one.

    Raises:
        FileNotFoundError, ImportError, ValueError: the detector cannot be made.
        CannotWriteLandmarks: the disk is full.
        RuntimeError: a worker died.
    """
    todo = [image for image in images if not _is_done(image, files)]
    looked_at = [image.path for image in todo if not image.reason]
    outcomes = _outcomes(Examiner(source, settings), looked_at, num_workers)
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


def _outcomes(examiner: Examiner, paths: List[str],
              num_workers: int) -> Iterator[Outcome]:
    workers = min(num_workers, len(paths))
    if workers:
        return in_processes(examiner, paths, workers)
    return (examiner(path) for path in paths)


def _is_done(image: ImageFile, files: LandmarkFiles) -> bool:
    if not image.reason and image.name in files.with_face:
        return True
    return _printable(image.path) in files.without


def _summary(images: List[ImageFile], files: LandmarkFiles, done_now: int) -> Summary:
    here = {_printable(image.path) for image in images}
    reasons = Counter(reason for path, reason in files.skipped_reasons()
                      if path in here)
    faces = sum(image.name in files.with_face for image in images if image.name)
    return Summary(len(images), faces, dict(sorted(reasons.items())), done_now)


def write_list(path: Path, images: List[ImageFile], files: LandmarkFiles) -> None:
    """Writes VGGFace2's list: the paths of the images that have a face, in order.

    Without one the dataset takes every image for a ``.jpg``.
    """
    write_whole(path, ''.join(
        f'{image.path}\n' for image in images
        if image.name and image.name in files.with_face))


def settings_as_json(settings: ExtractionSettings) -> Dict[str, Any]:
    """The settings as they are kept beside the CSVs."""
    return asdict(settings)
