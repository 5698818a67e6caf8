"""Restores videos frame by frame."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fdsr.apis.images import BadImage
from fdsr.cli.outputs import Result, written_whole
from fdsr.cli.video_files import Frame, VideoReader, VideoWriter

#: Maps uint8 (H, W, 3) RGB to the result and the numbers of faces found and restored.
FrameRestorer = Callable[[np.ndarray], tuple[np.ndarray, int, int]]


def restore_video(source: Path, target: Path, restore: FrameRestorer) -> Result:
    """Restores a video frame by frame and shows the progress.

    Each frame keeps its time, and the sound is copied. A few frames are in memory at a
    time. Frames are restored independently, so faces may flicker.

    Args:
        source: a video that FFmpeg can read.
        target: the result, H.264 in an MP4 file; written atomically.
        restore: called with each frame, rotated as its metadata says.

    Raises:
        FileNotFoundError: the source does not exist.
        BadImage: it cannot be read as a video, a frame cannot be restored, the result
            is too large for a video, or the package av is missing.
        CannotWrite: the result cannot be written completely.
    """
    from tqdm import tqdm
    frames = found = restored = with_face = 0
    with (VideoReader(source) as reader, written_whole(target) as part,
          VideoWriter(part, target, reader) as writer,
          # below the bar of the files
          tqdm(total=reader.expected_frames, unit='frame', disable=None, position=1,
               leave=False) as progress):
        for item in reader:
            if not isinstance(item, Frame):
                writer.add_sound(item)
                continue
            image, here, done = restore(item.image)
            writer.add(image, item.pts)
            frames, found, restored = frames + 1, found + here, restored + done
            with_face += done > 0
            progress.update()
        if not frames:
            raise BadImage(f'{source} has no readable frame.')
        if restored:
            writer.finish(reader.last_duration())
        else:
            part.unlink()
        message = ' '.join([f'{with_face} of {frames} frames have restored faces.',
                            *writer.notes, *reader.notes()])
    if not restored:
        return Result(str(source), status='no face', faces=found,
                      message='No face was restored, so nothing was written.')
    return Result(str(source), str(target), faces=found, restored=restored,
                  message=message)
