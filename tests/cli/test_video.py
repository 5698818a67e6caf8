"""Videos: the times of their frames, orientation, size, colours and sound."""

import resource
import sys
from fractions import Fraction

import numpy as np
import pytest

from fdsr.apis.images import BadImage
from fdsr.cli.outputs import CannotWrite
from fdsr.cli.video import restore_video
from tests.conftest import SHARED

av = pytest.importorskip('av')
#: RGB of the top left, the bottom right and the rest of a frame.
RED, BLUE, GREY = (220, 30, 30), (30, 30, 220), (90, 90, 90)
_DEGREES_0, _ONE = 65536, 1 << 30


def picture(width=64, height=48, number=0):
    """A frame whose corners and level tell its orientation and number."""
    image = np.full((height, width, 3), GREY, np.uint8)
    image[:height // 2, :width // 2] = RED
    image[height // 2:, width // 2:] = BLUE
    image[:16, -16:] = 10 + 8 * number
    return image


def write(path, times=range(0, 500, 100), size=(64, 48), codec='libx264',
          pix_fmt='yuv420p', matrix=None, range_=None, turned=None, sound=None,
          layout='stereo', rate=48000, **options):
    """Writes a video; times are in milliseconds."""
    with av.open(str(path), 'w') as file:
        stream = file.add_stream(codec, rate=10, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in (('colorspace', matrix), ('color_range', range_)):
            if value:
                setattr(stream.codec_context, name, value)
        if turned:
            stream.set_display_matrix(turned)
        if sound:
            track = file.add_stream(sound, rate=rate, layout=layout)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(*size, number), 'rgb24')
            frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix,
                                   dst_color_range=range_)
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if sound:
            context = track.codec_context
            resampler = av.AudioResampler(context.format.name, layout, rate,
                                          context.frame_size or 1024)
            wave = np.sin(np.arange(rate // 2) * .05) * 9000
            frame = av.AudioFrame.from_ndarray(
                wave.astype('i2').repeat(len(track.layout.channels))[None], 's16',
                layout)
            frame.sample_rate, frame.pts = rate, 0
            for part in resampler.resample(frame) + resampler.resample(None):
                file.mux(track.encode(part))
            file.mux(track.encode(None))
    return path


def read(path):
    """Returns the frames in RGB, their times in ms and the length of the file in ms."""
    images, times = [], []
    with av.open(str(path)) as file:
        for frame in file.decode(file.streams.best('video')):
            assert frame.rotation == 0
            images.append(frame.reformat(format='rgb24').to_ndarray())
            times.append(frame.pts * frame.time_base * 1000)
        return images, times, file.duration / 1000


def packets(path):
    """Returns (time, content) of the packets of the sound."""
    with av.open(str(path)) as file:
        return [(packet.pts * packet.time_base, bytes(packet))
                for packet in file.demux(file.streams.audio) if packet.dts is not None]


def restored(source, target, frames=None):
    """Restores a video with a network that returns its input."""
    def same(image):
        if frames is not None:
            frames.append(image)
        return image, 1, 1
    return restore_video(source, target, same)


def near(one, other, most=6):
    return np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= most


def numbers(images):
    """Returns the numbers of frames of ``picture``."""
    return [round((float(image[4:12, -12:-4].mean()) - 10) / 8) for image in images]


def corners(image):
    return image[5, 5], image[-5, -5], image[-5, 5]


@pytest.mark.parametrize('name, codec', [
    ('clip.webm', 'libvpx'), ('clip.mp4', 'libx264'), ('clip.mkv', 'libx264'),
    ('clip.mov', 'mpeg4')])
@pytest.mark.parametrize('times', [
    [0, 33, 70, 100, 133, 700, 1000, 1500], [0, 40, 80, 120], [5, 6, 7, 2000],
    [900, 1000]])
def test_frames_keep_their_times(tmp_path, name, codec, times):
    options = dict(bf='0') if codec == 'libx264' else {}
    source = write(tmp_path / name, times, codec=codec, **options)
    result = restored(source, tmp_path / 'out.mp4')
    assert '{0} of {0} frames have restored faces.'.format(
        len(times)) == result.message
    before, after = read(source), read(tmp_path / 'out.mp4')
    assert after[1] == before[1] == times
    assert numbers(after[0]) == list(range(len(times)))
    length = after[2] if name.endswith(('mp4', 'mov')) else after[2] + times[0]
    assert length == pytest.approx(before[2], abs=2)


@pytest.mark.skipif(not (SHARED / 'cases').is_dir(),
                    reason='the samples are kept outside the repository')
def test_the_samples_of_the_fault_campaign(tmp_path):
    for name, length in (('browser.webm', 1540), ('vfr.mp4', 1173),
                         ('rotated.mp4', 200)):
        frames = []
        restored(SHARED / 'cases' / name, tmp_path / 'out.mp4', frames)
        images, times, found = read(tmp_path / 'out.mp4')
        assert found == length and times[0] == 0 and len(times) == len(frames)
        if name == 'browser.webm':
            assert times[-3:] == [700, 1000, 1500]
        if name == 'rotated.mp4':
            with av.open(str(SHARED / 'cases' / name)) as file:
                stored = next(file.decode(video=0)).to_ndarray(format='rgb24')
            assert np.abs(images[0] - np.rot90(stored, -1).astype(float)).mean() < 3


def test_frames_that_are_stored_in_another_order(tmp_path):
    source = write(tmp_path / 'b.mkv', range(0, 2000, 100), bf='3')
    restored(source, tmp_path / 'out.mp4')
    images, times, _ = read(tmp_path / 'out.mp4')
    assert times == list(range(0, 2000, 100))
    assert numbers(images) == list(range(20))


@pytest.mark.parametrize('turned, upright', [
    ((_DEGREES_0, 0, 0, 0, _DEGREES_0, 0, 0, 0, _ONE), lambda image: image),
    ((0, _DEGREES_0, 0, -_DEGREES_0, 0, 0, 0, 0, _ONE), lambda im: np.rot90(im, -1)),
    ((-_DEGREES_0, 0, 0, 0, -_DEGREES_0, 0, 0, 0, _ONE), lambda im: np.rot90(im, 2)),
    ((0, -_DEGREES_0, 0, _DEGREES_0, 0, 0, 0, 0, _ONE), lambda im: np.rot90(im)),
    ((-_DEGREES_0, 0, 0, 0, _DEGREES_0, 0, 0, 0, _ONE), np.fliplr),
    ((_DEGREES_0, 0, 0, 0, -_DEGREES_0, 0, 0, 0, _ONE), np.flipud),
    ((0, _DEGREES_0, 0, _DEGREES_0, 0, 0, 0, 0, _ONE), lambda im: im.swapaxes(0, 1)),
    ((0, -_DEGREES_0, 0, -_DEGREES_0, 0, 0, 0, 0, _ONE),
     lambda im: np.rot90(im, 2).swapaxes(0, 1))])
def test_frames_are_turned_upright(tmp_path, turned, upright):
    source, frames = write(tmp_path / 'turned.mp4', turned=turned), []
    restored(source, tmp_path / 'out.mp4', frames)
    expected = upright(picture())
    images = read(tmp_path / 'out.mp4')[0]
    assert frames[0].shape == images[0].shape == expected.shape
    for image in (frames[0], images[0]):
        for found, wanted in zip(corners(image), corners(expected)):
            assert near(found, wanted)


@pytest.mark.parametrize('size', [(65, 47), (65, 48), (64, 47), (3, 5)])
def test_odd_sizes_keep_their_rows_and_columns(tmp_path, size):
    source = write(tmp_path / 'odd.mkv', size=size, codec='ffv1', pix_fmt='bgr0')
    frames = []
    restored(source, tmp_path / 'out.mp4', frames)
    image = read(tmp_path / 'out.mp4')[0][0]
    assert frames[0].shape == image.shape == (size[1], size[0], 3)
    assert near(image[-1, -1], frames[0][-1, -1], 12)


@pytest.mark.parametrize('options', [
    dict(), dict(matrix=5, range_=1), dict(matrix=1, range_=1),
    dict(matrix=1, range_=2), dict(matrix=5, range_=2), dict(matrix=9, range_=1),
    dict(pix_fmt='yuv444p'),
    dict(codec='mjpeg', pix_fmt='yuvj420p'), dict(codec='ffv1', pix_fmt='bgr0'),
    dict(codec='libx265', pix_fmt='yuv420p10le', **{'x265-params': 'log-level=0'})])
def test_colours(tmp_path, options):
    source, frames = write(tmp_path / 'clip.mkv', **options), []
    restored(source, tmp_path / 'out.mp4', frames)
    for image in (frames[0], read(tmp_path / 'out.mp4')[0][0]):
        for found, wanted in zip(corners(image), (RED, BLUE, GREY)):
            assert near(found, wanted)


def test_a_large_video_without_a_matrix_has_that_of_players(tmp_path):
    source = write(tmp_path / 'hd.mkv', [0], size=(1280, 720), matrix=1)
    with av.open(str(source)) as file, av.open(str(tmp_path / 'none.mkv'), 'w') as out:
        [frame] = file.decode(video=0)
        stream = out.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, 'yuv420p'
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    frames = []
    restored(tmp_path / 'none.mkv', tmp_path / 'out.mp4', frames)
    assert near(frames[0][5, 5], RED)


@pytest.mark.parametrize('name, codec, sound, note', [
    ('a.mp4', 'libx264', 'aac', ''), ('a.webm', 'libvpx', 'libopus', ''),
    ('a.mkv', 'libx264', 'flac', ''), ('a.avi', 'mpeg4', 'pcm_s16le', ''),
    ('b.avi', 'mpeg4', 'adpcm_ms', 'converted to AAC'),
    ('a.mov', 'libx264', 'pcm_mulaw', 'converted to AAC')])
def test_the_sound_is_copied(tmp_path, name, codec, sound, note):
    source = write(tmp_path / name, codec=codec, sound=sound)
    message = restored(source, tmp_path / 'out.mp4').message
    before, after = packets(source), packets(tmp_path / 'out.mp4')
    assert note in message and bool(note) == ('sound' in message)
    if note:
        assert abs(after[-1][0] - before[-1][0]) < .1
    else:
        assert [content for _, content in after] == [content for _, content in before]
        assert all(abs(one[0] - other[0]) < .001 for one, other in zip(before, after))
    with av.open(str(tmp_path / 'out.mp4')) as file:
        frames = list(file.decode(audio=0))
    level = np.abs(np.concatenate([frame.to_ndarray().ravel() for frame in frames]))
    assert level.max() > .1 * np.iinfo('i2').max if level.dtype.kind == 'i' else .1


def test_damage_is_reported(tmp_path):
    whole = write(tmp_path / 'whole.webm', range(0, 4000, 200), codec='libvpx', g='5')
    (tmp_path / 'cut.webm').write_bytes(whole.read_bytes()[:-whole.stat().st_size // 3])
    message = restored(tmp_path / 'cut.webm', tmp_path / 'out.mp4').message
    assert 'Its header says' in message and 'truncated' in message
    _, times, length = read(tmp_path / 'out.mp4')
    assert times[-1] < length <= times[-1] + 200
    whole = write(tmp_path / 'whole.mp4', range(0, 4000, 200), g='5')
    content = bytearray(whole.read_bytes())
    start = content.index(b'mdat') + 4
    half = (int.from_bytes(content[start - 8:start - 4], 'big') - 8) // 2
    content[start + half:start + half + 100] = bytes(100)
    (tmp_path / 'bad.mp4').write_bytes(content)
    assert 'damaged' in restored(tmp_path / 'bad.mp4', tmp_path / 'out.mp4').message


def test_files_that_are_not_videos(tmp_path):
    for name, content in (('text.mp4', b'no video'), ('empty.webm', b''),
                          ('png.mov', b'\x89PNG\r\n\x1a\n' + bytes(50))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadImage, match=f'{name} (cannot be read|has no readable)'):
            restored(tmp_path / name, tmp_path / 'out.mp4')
    # a playlist may name other files, and hosts
    write(tmp_path / 'clip.mp4')
    (tmp_path / 'list.mp4').write_text('#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n'
                                       'clip.mp4\n#EXT-X-ENDLIST\n')
    (tmp_path / 'concat.mp4').write_text("ffconcat version 1.0\nfile 'clip.mp4'\n")
    for name in ('list.mp4', 'concat.mp4'):
        with pytest.raises(BadImage, match='cannot be read as a video'):
            restored(tmp_path / name, tmp_path / 'out.mp4')
    with av.open(str(tmp_path / 'sound.mp4'), 'w') as file:
        stream = file.add_stream('aac', rate=48000, layout='mono')
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), 'f4'), 'fltp', 'mono')
        frame.sample_rate = 48000
        file.mux(stream.encode(frame) + stream.encode(None))
    with pytest.raises(BadImage, match='no stream of images'):
        restored(tmp_path / 'sound.mp4', tmp_path / 'out.mp4')
    with pytest.raises(FileNotFoundError):
        restored(tmp_path / 'absent.mp4', tmp_path / 'out.mp4')
    assert not (tmp_path / 'out.mp4').exists()


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    source = write(tmp_path / 'clip.mp4')
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(BadImage, match=r'pip install "fdsr\[video\]"'):
        restored(source, tmp_path / 'out.mp4')


def test_results_of_other_sizes_are_scaled_to_the_first(tmp_path):
    source, sides = write(tmp_path / 'clip.mp4'), iter([96, 64, 96, 50, 30])
    restore_video(source, tmp_path / 'out.mp4', lambda image: (
        np.full((side := next(sides), side, 3), 90, np.uint8), 1, 1))
    assert {image.shape for image in read(tmp_path / 'out.mp4')[0]} == {(96, 96, 3)}


def test_a_disk_without_space(tmp_path):
    rng = np.random.default_rng(0)
    source = write(tmp_path / 'clip.mp4', range(0, 3000, 100))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(CannotWrite, match='out.mp4 cannot be written'):
            restore_video(source, tmp_path / 'out.mp4', lambda image: (
                rng.integers(0, 256, (96, 96, 3), np.uint8), 1, 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ['clip.mp4']


def test_an_error_leaves_nothing(tmp_path):
    source = write(tmp_path / 'clip.mp4', sound='aac')
    with pytest.raises(ZeroDivisionError):
        restore_video(source, tmp_path / 'out.mp4', lambda image: 1 / 0)
    assert restore_video(source, tmp_path / 'out.mp4',
                         lambda image: (image, 0, 0)).status == 'no face'
    assert [path.name for path in tmp_path.iterdir()] == ['clip.mp4']
