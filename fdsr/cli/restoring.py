"""Restores the input files of ``fdsr`` and writes their results."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fdsr.apis.blending import mix
from fdsr.apis.images import BadImage, read_image
from fdsr.apis.photo import FaceStatus, RestoredPhoto
from fdsr.apis.super_resolver import FaceSuperResolver
from fdsr.cli.inputs import Job
from fdsr.cli.outputs import Result, side_by_side, write_image
from fdsr.cli.video import restore_video
from fdsr.geometry.alignment import resize

#: Errors that an input can cause; others end the run.
BAD_INPUT = (BadImage, FileNotFoundError, PermissionError, IsADirectoryError)
_NOT_FOUND = 'No landmarks were found: those of an average face were used.'
_HINT = ' --aligned restores it as one aligned face.'


@dataclass(frozen=True)
class _Face:
    """An aligned face that waits for its batch, with the seconds spent so far."""

    job: Job
    image: np.ndarray
    seconds: float


class Restorer:
    """Restores input files one after the other.

    Args:
        resolver: the network.
        kind: ``face`` or ``photo``; ``auto`` decides for each input, and for a video
            with its first frame.
        scale: upsampling factor of photographs.
        strength: weight of the restored faces, from 0 to 1.
        large_faces: also restore faces larger than the network supports.
        compare: put the inputs beside the results.
    """

    def __init__(self, resolver: FaceSuperResolver, kind: str = 'auto', scale: int = 2,
                 strength: float = 1.0, large_faces: bool = False,
                 compare: bool = False) -> None:
        self.resolver, self.kind = resolver, kind
        self.scale, self.strength = scale, strength
        self.large_faces, self.compare = large_faces, compare
        self._guessed, self._video_kind = 0, ''

    def restore(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """Runs every job and yields its result; a bad input yields a failed result.

        Results are in the order of the jobs.

        Raises:
            CannotWrite: the folder of the results cannot be written.
            ImportError: ``kind`` is ``photo`` and no detector is available.
        """
        faces: list[_Face] = []
        for job in jobs:
            item = self._video_of(job) if job.is_video else self._image_of(job)
            if isinstance(item, Result):
                yield from self._faces(faces)
                faces = []
                yield item
                continue
            faces.append(item)
            if len(faces) == self.resolver.batch_size:
                yield from self._faces(faces)
                faces = []
        yield from self._faces(faces)

    def _image_of(self, job: Job) -> '_Face | Result':
        """Returns the result of a photograph, or an aligned face that is still due."""
        started, kind = time.perf_counter(), ''
        try:
            image = read_image(job.source)
            kind = self.resolver.kind_of(image, self.kind)
            if kind == 'face':
                self.resolver.check_face(image)
                return _Face(job, image, time.perf_counter() - started)
            result = self._photo(job, image)
        except self._failures() as error:
            result = Result(str(job.source), status='failed', message=str(error))
        return replace(result, kind=kind, seconds=time.perf_counter() - started)

    def _failures(self) -> tuple[type[Exception], ...]:
        """Returns the errors that fail one input and not the run."""
        # without a detector, aligned faces can still be restored
        return (*BAD_INPUT, ImportError) if self.kind == 'auto' else BAD_INPUT

    def _photo(self, job: Job, photo: np.ndarray) -> Result:
        restored = self.resolver.restore_photo(photo, self.scale, self.large_faces,
                                               strength=self.strength)
        if not restored.num_restored:
            result = _nothing_restored(job.source, restored)
            if self.kind == 'auto' and photo.shape[0] == photo.shape[1]:
                result = replace(result, message=result.message + _HINT)
            return result
        self._write(job.target, photo, restored.image)
        return Result(str(job.source), str(job.target), faces=len(restored.faces),
                      restored=restored.num_restored, message=restored.summary())

    def _faces(self, faces: Sequence['_Face']) -> Iterator[Result]:
        """Restores aligned faces in one batch."""
        started = time.perf_counter()
        results = self.resolver.super_resolve([face.image for face in faces])
        seconds = (time.perf_counter() - started) / max(len(faces), 1)
        for face, result in zip(faces, results):
            self._write(face.job.target, face.image,
                        self._weighted(face.image, result.image))
            yield Result(str(face.job.source), str(face.job.target), faces=1,
                         restored=1, seconds=face.seconds + seconds, kind='face',
                         message=_NOT_FOUND if result.landmarks_found is False else '')

    def _weighted(self, image: np.ndarray, sr: np.ndarray) -> np.ndarray:
        """Returns SR of an aligned face, mixed with its input by the strength."""
        return mix(resize(image, len(sr)), sr, self.strength)

    def _video_of(self, job: Job) -> Result:
        started = time.perf_counter()
        self._guessed, self._video_kind = 0, ''
        try:
            result = restore_video(job.source, job.target, self._frame)
        except self._failures() as error:
            result = Result(str(job.source), status='failed', message=str(error))
        if self._guessed and not result.failed:
            note = f'In {self._guessed} of them: {_NOT_FOUND}'
            result = replace(result, message=f'{result.message} {note}')
        return replace(result, kind=self._video_kind,
                       seconds=time.perf_counter() - started)

    def _frame(self, frame: np.ndarray) -> tuple[np.ndarray, int, int]:
        """Returns a frame's result and the numbers of faces found and restored."""
        if not self._video_kind:
            self._video_kind = self.resolver.kind_of(frame, self.kind)
        if self._video_kind == 'photo':
            photo = self.resolver.restore_photo(frame, self.scale, self.large_faces,
                                                strength=self.strength)
            result, found, restored = photo.image, len(photo.faces), photo.num_restored
        else:
            [face] = self.resolver.super_resolve([frame])
            self._guessed += face.landmarks_found is False
            result, found, restored = self._weighted(frame, face.image), 1, 1
        return side_by_side(frame, result) if self.compare else result, found, restored

    def _write(self, target: Path, before: np.ndarray, after: np.ndarray) -> None:
        write_image(target, side_by_side(before, after) if self.compare else after)


def _nothing_restored(source: Path, photo: RestoredPhoto) -> Result:
    if not photo.faces:
        message = 'No face was found, so nothing was written.'
    else:
        first = photo.faces[0]
        message = (f'{photo.summary()} Nothing was written. The largest, at '
                   f'({first.box[0]:.0f}, {first.box[1]:.0f}): {first.message}')
        if first.status is FaceStatus.LARGE_ENOUGH:
            message += ' --large-faces restores it nevertheless.'
    return Result(str(source), status='no face', faces=len(photo.faces),
                  message=message)
