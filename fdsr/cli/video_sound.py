"""Audio tracks of a result: copied, or converted to AAC where MP4 needs it."""

from typing import Any

_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000,
              88200, 96000)
#: Layouts by the number of channels, for files that store only the number.
_LAYOUTS = ('', 'mono', 'stereo', '2.1', '4.0', '5.0', '5.1', '6.1', '7.1')


class CopiedSound:
    """Copies the packets of a stream into another file."""

    def __init__(self, stream: Any, source: Any) -> None:
        self.stream, self._last = stream, None
        stream.metadata.update(source.metadata)

    def __call__(self, packet: Any) -> list[Any]:
        """Returns the packets to write for a packet of the source."""
        # MP4 requires increasing times
        if packet.dts is None or (self._last is not None and packet.dts <= self._last):
            return []
        self._last, packet.stream = packet.dts, self.stream
        return [packet]

    def rest(self) -> list[Any]:
        """Returns the packets after the last one."""
        return []


class ConvertedSound(CopiedSound):
    """Converts a stream to AAC."""

    def __init__(self, file: Any, source: Any) -> None:
        import av
        rate = source.codec_context.sample_rate
        rate = rate if rate in _AAC_RATES else _AAC_RATES[8]
        layout = layout_of(source)
        super().__init__(file.add_stream('aac', rate=rate, layout=layout), source)
        self._resampler = av.AudioResampler('fltp', layout, rate, frame_size=1024)
        self._errors = av.FFmpegError

    def __call__(self, packet: Any) -> list[Any]:
        try:
            frames = packet.decode()
        except self._errors:  # a damaged packet
            return []
        return self._encoded(frames)

    def rest(self) -> list[Any]:
        return self._encoded([None]) + self.stream.encode(None)

    def _encoded(self, frames: list[Any]) -> list[Any]:
        return [packet for frame in frames for part in self._resampler.resample(frame)
                for packet in self.stream.encode(part)]


def layout_of(sound: Any) -> str:
    """Returns the name of the layout of a stream's channels."""
    layout = sound.codec_context.layout
    count = layout.nb_channels
    unknown = layout.name == f'{count} channels' and count < len(_LAYOUTS)
    return _LAYOUTS[count] if unknown else layout.name
