"""Reads and writes videos with the times of their frames and their sound.

PyAV (the package ``av``) contains FFmpeg's libraries.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fdsr.apis.images import BadImage
from fdsr.cli.outputs import cannot_write
from fdsr.cli.video_sound import ConvertedSound, CopiedSound, layout_of

#: Other formats, such as playlists, can name further files and hosts to read from.
_CONTAINERS = dict(format_whitelist='mov,matroska,avi,mpegts,mpeg,flv,asf,ogg',
                   protocol_whitelist='file')
#: Longer sides are beyond the limit of many H.264 decoders.
_LONGEST_SIDE = 8192
_FINEST_TIME = 1_000_000
_DEFAULT_RATE = 25
#: Small and visually lossless. Without look-ahead and B-frames, few frames are in
#: memory, and each frame gives one packet.
_ENCODER = dict(preset='veryfast', tune='zerolatency', crf='16')
#: swscale's bicubic, full horizontal chroma and accurate rounding
_SCALING = 0x4 | 0x2000 | 0x40000
#: FFmpeg's numbers of matrices and ranges
_BT709, _BT601, _BT2020 = 1, 5, 9
_MATRICES = {0: _BT709, 1: _BT709, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: _BT2020,
             10: _BT2020}
_RGB, _UNSPECIFIED = 0, 2
_LIMITED, _FULL = 1, 2
#: Seconds that may be missing at the end of a complete file, and that a header's end
#: may be off.
_TOLERANCE, _ROUNDING = Fraction(1, 2), Fraction(2, 1000)


@dataclass(frozen=True)
class Frame:
    """A decoded frame.

    Args:
        image: uint8 (H, W, 3) RGB, upright.
        pts: its time in units of the reader's ``time_base``.
    """

    image: np.ndarray
    pts: int


class VideoReader:
    """The frames of a video's best stream, with the packets of its sound between them.

    Args:
        source: a video that FFmpeg can read.

    Attributes:
        time_base: unit of time, in seconds.
        rate: average number of frames per second.
        sound: the streams of the sound.
        matrix: matrix from RGB to YUV of the last frame, as FFmpeg's number.
        colour: how to tag it: matrix, primaries and transfer function.

    Raises:
        FileNotFoundError: the source does not exist.
        BadImage: it cannot be read as a video, or the package av is missing.
    """

    def __init__(self, source: Path) -> None:
        if not source.is_file():
            raise FileNotFoundError(f'Video not found: {source}.')
        self.source = source
        self._av = _library(source)
        try:
            self._file = self._av.open(str(source), metadata_errors='replace',
                                       options=dict(_CONTAINERS))
        except (self._av.FFmpegError, ValueError) as error:
            raise self._bad(error) from error
        self._stream = self._file.streams.best('video')
        if self._stream is None or self._stream.codec_context is None:
            self.close()
            raise BadImage(f'{source} cannot be read as a video: it has no stream of '
                           'images that FFmpeg can decode.')
        self.sound = [stream for stream in self._file.streams.audio
                      if stream.codec_context is not None]
        unit = self._stream.time_base or Fraction(1, _FINEST_TIME)
        self.time_base = max(unit, Fraction(1, _FINEST_TIME))
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.rate = rate if rate and 0 < rate <= 1000 else Fraction(_DEFAULT_RATE)
        self.matrix = _BT601
        self.colour: dict[str, int] = {}
        self._swapped = False
        self._damaged = 0
        self._last, self._spacing, self._longest = -1, 0, 0
        self._sound_end = Fraction(0)
        self._last_frame: Any = None
        # when the file ends by its header, in seconds; Matroska's includes the start
        start = 0 if 'matroska' in self._file.format.name else self._file.start_time
        self._header_end = Fraction((start or 0) + (self._file.duration or 0),
                                    self._av.time_base)

    @property
    def expected_frames(self) -> int | None:
        """Number of frames, or an estimate, or None."""
        return self._stream.frames or int(self._header_end * self.rate) or None

    @property
    def pixel_aspect(self) -> Fraction | None:
        """Width of a pixel divided by its height; None if unknown."""
        aspect = self._stream.sample_aspect_ratio
        return 1 / aspect if aspect and self._swapped else aspect

    def __iter__(self) -> Iterator[Any]:
        """Yields frames as :class:`Frame` and the sound as packets."""
        for packet in self._packets():
            if packet.stream_index != self._stream.index:
                if packet.pts is not None:
                    end = packet.pts + (packet.duration or 0)
                    self._sound_end = max(self._sound_end, end * packet.time_base)
                yield packet
                continue
            try:
                frames = packet.decode()
            except (self._av.FFmpegError, ValueError):
                self._damaged += 1
                continue
            for frame in frames:
                self._damaged += bool(frame.is_corrupt)
                yield Frame(self._image(frame), self._pts(frame))

    def _packets(self) -> Iterator[Any]:
        """Yields the packets until the end or until the file cannot be read further."""
        try:
            yield from self._file.demux(self._stream, *self.sound)
        except (self._av.FFmpegError, ValueError):
            self._damaged += 1

    def _pts(self, frame: Any) -> int:
        """Returns the time of a frame, after that of the frame before it."""
        step = max(round(1 / self.rate / self.time_base), 1)
        pts = self._last + (self._spacing or step) if self._last_frame else 0
        if frame.pts is not None:
            pts = round(frame.pts * frame.time_base / self.time_base)
        if self._last_frame:
            pts = max(pts, self._last + 1)
            self._spacing = pts - self._last
            self._longest = max(self._longest, self._spacing)
        self._last, self._last_frame = pts, frame
        return pts

    def last_duration(self) -> int:
        """Returns the duration of the last frame, in units of ``time_base``."""
        frame = self._last_frame
        usual = (round((frame.duration or 0) * frame.time_base / self.time_base)
                 or self._spacing or max(round(1 / self.rate / self.time_base), 1))
        rest = self._header_end / self.time_base - self._last
        # more is missing if the file is truncated, and the header's end is rounded
        most = self._longest + _TOLERANCE / self.time_base
        if not self.sound and 0 < rest <= most:
            if abs(rest - usual) * self.time_base > _ROUNDING:
                return max(round(rest), 1)
        return usual

    def _image(self, frame: Any) -> np.ndarray:
        """Converts a frame to RGB and rotates it as its metadata says."""
        known = _MATRICES.get(frame.colorspace)
        # players assume these if nothing is specified
        large = frame.width >= 1280 or frame.height > 576
        self.matrix = known or (_BT709 if large else _BT601)
        # a large video stays unspecified; a small one may become large
        tag = _UNSPECIFIED if large and known is None else self.matrix
        self.colour = dict(colorspace=tag, color_primaries=frame.color_primaries,
                           color_trc=frame.color_trc)
        if frame.colorspace != _RGB:
            frame.colorspace = self.matrix
        try:
            rgb = frame.reformat(format='rgb24', interpolation=_SCALING,
                                 dst_color_range=_FULL)
        except self._av.FFmpegError as error:
            raise self._bad(error) from error
        image, self._swapped = _upright(rgb.to_ndarray(),
                                        frame.side_data.get('DISPLAYMATRIX'))
        return np.ascontiguousarray(image)

    def notes(self) -> list[str]:
        """Returns sentences about damage, after the last frame has been read."""
        notes = []
        if self._damaged:
            notes.append(f'{self._damaged} of its packets are damaged.')
        end = max(self._sound_end, (self._last + self.last_duration()) * self.time_base)
        if self._header_end - end > _TOLERANCE:
            notes.append(f'Its header says {float(self._header_end):.1f} s, found '
                         f'{float(end):.1f} s: it may be truncated.')
        return notes

    def _bad(self, error: Exception) -> BadImage:
        return BadImage(f'{self.source} cannot be read as a video '
                        f'({getattr(error, "strerror", None) or error}).')

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class VideoWriter:
    """Writes an MP4 file: H.264, and the sound of another video.

    The size of the first frame is that of the video; others are scaled to it. The
    colours are tagged as those of the reader's frames.

    Args:
        path: the file to write.
        target: its name in messages.
        reader: where the sound, the unit of time and the colours come from.

    Attributes:
        notes: sentences about sound that could not be copied.
    """

    def __init__(self, path: Path, target: Path, reader: VideoReader) -> None:
        self._av, self._path, self._target = _library(target), path, target
        self._reader = reader
        self._file: Any = None
        self._sound: dict[int, CopiedSound] = {}
        self._early: list[Any] = []  # sound before the first frame
        self._held: Any = None  # the last packet, until its duration is known
        self.notes: list[str] = []

    def add(self, image: np.ndarray, pts: int) -> None:
        """Writes a frame.

        Args:
            image: uint8 (H, W, 3) RGB.
            pts: its time in units of the reader's ``time_base``.

        Raises:
            BadImage: the frame is too large for a video.
            CannotWrite: the file cannot be written.
        """
        if self._file is None:
            self._open(image.shape[1], image.shape[0])
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), 'rgb24')
        frame = frame.reformat(
            self._stream.width, self._stream.height, self._stream.pix_fmt,
            interpolation=_SCALING, dst_colorspace=self._matrix,
            dst_color_range=_LIMITED)
        frame.pts, frame.time_base = pts, self._reader.time_base
        with self._writing():
            for packet in self._stream.encode(frame):
                if self._held is not None:
                    self._file.mux(self._held)
                self._held = packet

    def add_sound(self, packet: Any) -> None:
        """Writes a packet of the sound.

        Raises:
            CannotWrite: the file cannot be written.
        """
        if self._file is None:
            self._early.append(packet)
            return
        with self._writing():
            self._file.mux(self._sound[packet.stream_index](packet))

    def finish(self, duration: int) -> None:
        """Writes the last frame and the end of the file.

        Args:
            duration: that of the last frame, in units of the reader's ``time_base``.

        Raises:
            CannotWrite: the file cannot be written.
        """
        with self._writing():
            if self._held is not None:
                self._held.duration = round(
                    duration * self._reader.time_base / self._held.time_base)
                self._file.mux(self._held)
            for sound in self._sound.values():
                self._file.mux(sound.rest())
            self._file.close()

    def _open(self, width: int, height: int) -> None:
        if max(width, height) > _LONGEST_SIDE:
            raise BadImage(
                f'A video of {width}x{height} pixels cannot be written: H.264 decoders '
                f'support {_LONGEST_SIDE} per side. Use a smaller --scale, or omit '
                '--compare.')
        unit, self._matrix = self._reader.time_base, self._reader.matrix
        with self._writing():
            # offsets between the streams are stored in units of the movie's time scale
            scale = unit.denominator * -(-10_000 // unit.denominator)
            self._file = self._av.open(str(self._path), 'w', format='mp4',
                                       container_options=dict(movie_timescale=str(scale)))
            stream = self._file.add_stream('libx264', self._reader.rate,
                                           options=dict(_ENCODER))
            stream.width, stream.height = width, height
            # chroma of half the size cannot represent odd sides
            odd = width % 2 or height % 2
            stream.pix_fmt = 'yuv444p' if odd else 'yuv420p'
            stream.time_base = stream.codec_context.time_base = unit
            stream.codec_context.color_range = _LIMITED
            if self._reader.pixel_aspect:
                stream.codec_context.sample_aspect_ratio = self._reader.pixel_aspect
            for name, value in self._reader.colour.items():
                setattr(stream.codec_context, name, value)
            self._stream = stream
            for sound in self._reader.sound:
                self._sound[sound.index] = self._copy(sound)
        for packet in self._early:
            self.add_sound(packet)
        self._early.clear()

    def _copy(self, sound: Any) -> CopiedSound:
        try:
            stream = self._file.add_stream_from_template(sound)
            layout = layout_of(sound)
            if layout != sound.codec_context.layout.name:
                stream.codec_context.layout = layout
            return CopiedSound(stream, sound)
        except (self._av.FFmpegError, ValueError):
            self.notes.append(f'The sound was converted to AAC, because MP4 does not '
                              f'support {sound.codec_context.name}.')
            return ConvertedSound(self._file, sound)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except self._av.FFmpegError as error:
            if isinstance(error, OSError):
                raise cannot_write(self._target, error) from error
            # times or sound that MP4 cannot represent
            raise BadImage(f'{self._reader.source} cannot be written as MP4 '
                           f'({error.strerror}).') from error

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            # finish() has reported errors; otherwise the file is discarded
            with suppress(self._av.FFmpegError):
                self._file.close()


def _upright(image: np.ndarray, matrix: Any) -> tuple[np.ndarray, bool]:
    """Applies a display matrix, which maps (x, y) to (ax + cy, bx + dy).

    Args:
        image: (H, W, 3).
        matrix: rows (a, b, u), (c, d, v) and (x, y, w) in 32-bit integers, or None.

    Returns:
        The image, and True if width and height were exchanged.
    """
    if matrix is None:
        return image, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), '<i4')[:5].astype(float)
    swapped = abs(b) + abs(c) > abs(a) + abs(d)
    if swapped:
        image = image.transpose(1, 0, 2)
    horizontal, vertical = (c, b) if swapped else (a, d)
    return image[::-1 if vertical < 0 else 1, ::-1 if horizontal < 0 else 1], swapped


def _library(path: Path) -> Any:
    """Imports PyAV."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise BadImage(f'{path} is a video, which needs the package av: '
                       'pip install "fdsr[video]"') from error
    return av
