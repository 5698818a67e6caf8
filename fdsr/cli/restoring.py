"""Restores the input files of ``fdsr`` and writes their results."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fdsr.apis.images import BadImage, read_image
from fdsr.apis.photo import FaceStatus, RestoredPhoto
from fdsr.apis.super_resolver import FaceSuperResolver
from fdsr.cli.inputs import Job
from fdsr.cli.outputs import Result, side_by_side, write_image
from fdsr.cli.video import restore_video

#: Errors that an input can cause; others end the run.
BAD_INPUT = (BadImage, FileNotFoundError, PermissionError, IsADirectoryError)
_NOT_FOUND = 'No landmarks were found: those of an average face were used.'


class Restorer:
    """Restores input files one after the other.

    Args:
        resolver: the network.
        whole_photo: inputs are photographs; default: aligned faces.
        scale: upsampling factor of photographs.
        large_faces: also restore faces larger than the network supports.
        compare: put the inputs beside the results.
    """

    def __init__(self, resolver: FaceSuperResolver, whole_photo: bool = False,
                 scale: int = 2, large_faces: bool = False,
                 compare: bool = False) -> None:
        self.resolver, self.whole_photo = resolver, whole_photo
        self.scale, self.large_faces, self.compare = scale, large_faces, compare
        self._guessed = 0

    def restore(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """Runs every job and yields its result; a bad input yields a failed result.

        Raises:
            CannotWrite: the folder of the results cannot be written.
        """
        faces: list[Job] = []
        for job in jobs:
            if job.is_video:
                yield self._timed(self._video, job)
            elif self.whole_photo:
                yield self._timed(self._photo, job)
            else:
                faces.append(job)
                if len(faces) == self.resolver.batch_size:
                    yield from self._faces(faces)
                    faces = []
        yield from self._faces(faces)

    def _timed(self, restore, job: Job) -> Result:
        started = time.perf_counter()
        try:
            result = restore(job)
        except BAD_INPUT as error:
            result = Result(str(job.source), status='failed', message=str(error))
        return replace(result, seconds=time.perf_counter() - started)

    def _photo(self, job: Job) -> Result:
        photo = read_image(job.source)
        restored = self.resolver.restore_photo(photo, self.scale, self.large_faces)
        if not restored.num_restored:
            return _nothing_restored(job.source, restored)
        self._write(job.target, photo, restored.image)
        return Result(str(job.source), str(job.target), faces=len(restored.faces),
                      restored=restored.num_restored, message=restored.summary())

    def _faces(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """Restores aligned faces in one batch."""
        started = time.perf_counter()
        images, failures = zip(*map(self._read_face, jobs)) if jobs else ((), ())
        good = [image for image in images if image is not None]
        results = iter(self.resolver.super_resolve(good))
        seconds = (time.perf_counter() - started) / max(len(jobs), 1)
        for job, image, failure in zip(jobs, images, failures):
            if image is None:
                yield Result(str(job.source), status='failed', message=failure,
                             seconds=seconds)
                continue
            result = next(results)
            self._write(job.target, image, result.image)
            yield Result(str(job.source), str(job.target), faces=1, restored=1,
                         message=_NOT_FOUND if result.landmarks_found is False else '',
                         seconds=seconds)

    def _read_face(self, job: Job) -> tuple[np.ndarray | None, str]:
        try:
            image = read_image(job.source)
            self.resolver.check_face(image)
        except BAD_INPUT as error:
            return None, str(error)
        return image, ''

    def _video(self, job: Job) -> Result:
        self._guessed = 0
        result = restore_video(job.source, job.target, self._frame)
        if self._guessed:
            note = f'In {self._guessed} of them: {_NOT_FOUND}'
            result = replace(result, message=f'{result.message} {note}')
        return result

    def _frame(self, frame: np.ndarray) -> tuple[np.ndarray, int, int]:
        """Returns a frame's result and the numbers of faces found and restored."""
        if self.whole_photo:
            photo = self.resolver.restore_photo(frame, self.scale, self.large_faces)
            result, found, restored = photo.image, len(photo.faces), photo.num_restored
        else:
            [face] = self.resolver.super_resolve([frame])
            self._guessed += face.landmarks_found is False
            result, found, restored = face.image, 1, 1
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
