"""Videos, a frame at a time."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Optional, Tuple

import cv2
import numpy as np

from fdsr.apis.images import BadImage
from fdsr.cli.outputs import CannotWrite, Result, written_whole

#: uint8 (H, W, 3) RGB to the same, and how many faces were found and restored.
FrameRestorer = Callable[[np.ndarray], Tuple[np.ndarray, int, int]]
#: Frames and their number to the same frames, as they are counted on the way.
Watch = Callable[[Iterable[np.ndarray], int], Iterable[np.ndarray]]
_USUAL_RATE = 25.0
#: MPEG-4's limits, in pixels a side and in frames a second.
_LONGEST_SIDE, _HIGHEST_RATE = 8191, 65535


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
        BadImage: it cannot be read as a video, a frame cannot be restored, or
            the result would be too large for a video.
        CannotWrite: the result cannot be written, or not whole.
    """
    writer: Optional[cv2.VideoWriter] = None
    frames = found = restored = with_face = 0
    with (_opened(source) as (video, rate, expected),
          written_whole(target) as part):
        try:
            for frame in watch(_frames(video), expected):
                result, here, done = restore(frame)
                if writer is None:
                    writer = _writer(part, result.shape, rate)
                writer.write(np.ascontiguousarray(result[..., ::-1]))
                frames, found, restored = frames + 1, found + here, restored + done
                with_face += done > 0
            if writer is None:
                raise BadImage(f'{source} has no frame that can be read.')
        finally:
            if writer is not None:
                writer.release()
        if restored:
            _check_whole(part, target, frames)
        else:
            part.unlink()
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
            raise BadImage(f'{source} cannot be read as a video.')
        rate = video.get(cv2.CAP_PROP_FPS)
        yield (video, rate if 0 < rate <= _HIGHEST_RATE else _USUAL_RATE,
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
    if max(shape[:2]) > _LONGEST_SIDE:
        raise BadImage(
            f'A video of {shape[1]}x{shape[0]} pixels cannot be written: MPEG-4 ends '
            f'at {_LONGEST_SIDE} a side. Take a smaller --scale, or leave out '
            '--compare.')
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate,
                             (shape[1], shape[0]))
    if not writer.isOpened():
        raise CannotWrite(
            f'{path} cannot be written as a video of {shape[1]}x{shape[0]} pixels. '
            'Name another folder with --out.')
    return writer


def _check_whole(path: Path, target: Path, frames: int) -> None:
    """Counts the frames that arrived: OpenCV says nothing when the disk is full."""
    video = cv2.VideoCapture(str(path))
    written = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
    video.release()
    if written != frames:
        raise CannotWrite(
            f'{target} cannot be written: {written} of {frames} frames arrived, so the '
            'disk may be full. Make room there, or name another folder with --out.')
