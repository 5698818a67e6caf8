"""Videos, a frame at a time."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Optional, Tuple

import cv2
import numpy as np

from fdsr.apis.pictures import BadPicture
from fdsr.cli.outputs import CannotWrite, Result, part_of, remove

#: uint8 (H, W, 3) RGB to the same, and how many faces were found and restored.
FrameRestorer = Callable[[np.ndarray], Tuple[np.ndarray, int, int]]
#: Frames and their number to the same frames, as they are counted on the way.
Watch = Callable[[Iterable[np.ndarray], int], Iterable[np.ndarray]]
_USUAL_RATE = 25.0


def unwatched(frames: Iterable[np.ndarray], total: int) -> Iterable[np.ndarray]:
    """Shows nothing."""
    return frames


def restore_video(source: Path, target: Path, restore: FrameRestorer,
                  watch: Watch = unwatched) -> Result:
    """Restores a video frame by frame, in memory for one frame, without its sound.

    Frames stand on their own: the same face may flicker from one to the next.

    Args:
        source: the video; whatever OpenCV reads.
        target: the result, MPEG-4 in an MP4 file, whole or not at all.
        restore: called with each frame.
        watch: called with the frames and their number, and returns them.

    Raises:
        FileNotFoundError: there is no such file.
        BadPicture: it cannot be read as a video, or a frame cannot be restored.
        CannotWrite: the result cannot be written.
    """
    unfinished = part_of(target)
    writer: Optional[cv2.VideoWriter] = None
    frames = found = restored = with_face = 0
    with _opened(source) as (video, rate, expected):
        try:
            for frame in watch(_frames(video), expected):
                result, here, done = restore(frame)
                if writer is None:
                    writer = _writer(unfinished, result.shape, rate)
                writer.write(np.ascontiguousarray(result[..., ::-1]))
                frames, found, restored = frames + 1, found + here, restored + done
                with_face += done > 0
            if writer is None:
                raise BadPicture(f'{source} has no frame that can be read.')
            _finish(writer, unfinished, target, restored)
        finally:
            if writer is not None:
                writer.release()
            remove(unfinished)
    message = f'{with_face} of {frames} frames have restored faces; without sound.'
    if frames < expected:
        message += f' The file promises {expected} frames: it may be truncated.'
    if not restored:
        return Result(str(source), status='no face', faces=found,
                      message='No face was restored, so nothing was written.')
    return Result(str(source), str(target), faces=found, restored=restored,
                  message=message)


@contextmanager
def _opened(source: Path) -> Iterator[Tuple[Any, float, int]]:
    """A video that is closed again, its frames a second, and their number."""
    if not source.is_file():
        raise FileNotFoundError(f'There is no video at {source}.')
    video = cv2.VideoCapture(str(source))
    try:
        if not video.isOpened():
            raise BadPicture(f'{source} cannot be read as a video.')
        rate = video.get(cv2.CAP_PROP_FPS)
        yield (video, rate if rate > 0 else _USUAL_RATE,
               max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0))
    finally:
        video.release()


def _frames(video: Any) -> Iterator[np.ndarray]:
    while True:
        there, frame = video.read()
        if not there:
            return
        yield np.ascontiguousarray(frame[..., ::-1])


def _writer(path: Path, shape: Tuple[int, ...], rate: float) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate,
                             (shape[1], shape[0]))
    if not writer.isOpened():
        raise CannotWrite(
            f'{path} cannot be written as a video of {shape[1]}x{shape[0]} pixels. '
            'Name another folder with --out, or take a smaller --scale.')
    return writer


def _finish(writer: cv2.VideoWriter, unfinished: Path, target: Path,
            restored: int) -> None:
    """Puts the file in its place, if there is a restored face in it."""
    writer.release()
    if not unfinished.is_file() or not unfinished.stat().st_size:
        raise CannotWrite(f'{target} could not be written: the disk may be full.')
    if restored:
        os.replace(unfinished, target)
