"""Restores videos frame by frame."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fdsr.apis.images import BadImage
from fdsr.cli.outputs import CannotWrite, Result, written_whole

#: Maps uint8 (H, W, 3) RGB to the result and the numbers of faces found and restored.
FrameRestorer = Callable[[np.ndarray], tuple[np.ndarray, int, int]]
_DEFAULT_RATE = 25.0
#: MPEG-4's limits, in pixels per side and in frames per second.
_LONGEST_SIDE, _HIGHEST_RATE = 8191, 65535


def restore_video(source: Path, target: Path, restore: FrameRestorer) -> Result:
    """Restores a video frame by frame, without its sound, and shows the progress.

    Only one frame is in memory. Frames are restored independently, so faces may
    flicker.

    Args:
        source: a video that OpenCV can read.
        target: the result, MPEG-4 in an MP4 file; written atomically.
        restore: called with each frame.

    Raises:
        FileNotFoundError: the source does not exist.
        BadImage: it cannot be read as a video, a frame cannot be restored, or the
            result is too large for a video.
        CannotWrite: the result cannot be written completely.
    """
    from tqdm import tqdm
    writer: cv2.VideoWriter | None = None
    frames = found = restored = with_face = 0
    with (_opened(source) as (video, rate, expected),
          written_whole(target) as part):
        try:
            # below the bar of the files
            for frame in tqdm(_frames(video), total=expected or None, unit='frame',
                              disable=None, position=1, leave=False):
                result, here, done = restore(frame)
                if writer is None:
                    writer = _writer(part, result.shape, rate)
                writer.write(np.ascontiguousarray(result[..., ::-1]))
                frames, found, restored = frames + 1, found + here, restored + done
                with_face += done > 0
            if writer is None:
                raise BadImage(f'{source} has no readable frame.')
        finally:
            if writer is not None:
                writer.release()
        if restored:
            _check_whole(part, target, frames)
        else:
            part.unlink()
    message = f'{with_face} of {frames} frames have restored faces; without sound.'
    if frames < expected:
        message += f' Its header says {expected} frames: it may be truncated.'
    if not restored:
        return Result(str(source), status='no face', faces=found,
                      message='No face was restored, so nothing was written.')
    return Result(str(source), str(target), faces=found, restored=restored,
                  message=message)


@contextmanager
def _opened(source: Path) -> Iterator[tuple[Any, float, int]]:
    """Yields an open video, its frames per second and its number of frames."""
    if not source.is_file():
        raise FileNotFoundError(f'There is no video at {source}.')
    video = cv2.VideoCapture(str(source))
    try:
        if not video.isOpened():
            raise BadImage(f'{source} cannot be read as a video.')
        rate = video.get(cv2.CAP_PROP_FPS)
        yield (video, rate if 0 < rate <= _HIGHEST_RATE else _DEFAULT_RATE,
               max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0))
    finally:
        video.release()


def _frames(video: Any) -> Iterator[np.ndarray]:
    while True:
        available, frame = video.read()
        if not available:
            return
        yield np.ascontiguousarray(frame[..., ::-1])


def _writer(path: Path, shape: tuple[int, ...], rate: float) -> cv2.VideoWriter:
    if max(shape[:2]) > _LONGEST_SIDE:
        raise BadImage(
            f'A video of {shape[1]}x{shape[0]} pixels cannot be written: MPEG-4 '
            f'supports {_LONGEST_SIDE} per side. Use a smaller --scale, or omit '
            '--compare.')
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate,
                             (shape[1], shape[0]))
    if not writer.isOpened():
        raise CannotWrite(
            f'{path} cannot be written as a video of {shape[1]}x{shape[0]} pixels. '
            'Name another folder with --out.')
    return writer


def _check_whole(path: Path, target: Path, frames: int) -> None:
    """Counts the written frames, because OpenCV does not report a full disk."""
    video = cv2.VideoCapture(str(path))
    written = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
    video.release()
    if written != frames:
        raise CannotWrite(
            f'{target} cannot be written: it has {written} of {frames} frames, so the '
            'disk may be full. Free space, or name another folder with --out.')
