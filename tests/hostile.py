"""Hostile inputs of all tests: unusual and damaged images, and code in files."""
import io
import os

import numpy as np
from PIL import Image


class Code:
    """Object that creates a folder when it is unpickled.

    Args:
        trace: the folder; it exists if the code was executed.
    """

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def config_calls(trace):
    """Returns configs that create a file or folder ``trace`` when they are built."""
    return [dict(type='os.mkdir', path=str(trace)),
            dict(type='subprocess.Popen', args=['touch', str(trace)])]


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(mode='RGB', size=(160, 200)):
    draws = np.random.RandomState(0)
    image = Image.fromarray(draws.randint(0, 256, (20, 16, 3)).astype(np.uint8))
    return image.resize(size, Image.BICUBIC).convert(mode)


def deep_colours():
    """Returns a PNG of three channels with 16 bits each."""
    import cv2
    return cv2.imencode('.png', np.asarray(noise())[..., ::-1].astype(np.uint16) * 257
                        )[1].tobytes()


def transparent():
    """Returns a PNG with a transparent green corner."""
    image = noise('RGBA')
    image.paste((0, 255, 0, 0), (0, 0, 6, 6))
    return encoded(image, 'PNG')


_OTHER = dict(save_all=True, append_images=[Image.new('RGB', (160, 200), 'red')])

#: Readable files that show ``noise()``, in colour or grey.
GOOD = {
    'cmyk.jpg': encoded(noise('CMYK'), 'JPEG', quality=95),
    'grey.png': encoded(noise('L'), 'PNG'),
    'palette.png': encoded(noise('P'), 'PNG'),
    'alpha.png': transparent(),
    'moving.webp': encoded(noise(), 'WEBP', lossless=True, **_OTHER),
    'moving.png': encoded(noise(), 'PNG', **_OTHER),
    'moving gif.jpg': encoded(noise(), 'GIF', **_OTHER),
    'deep.png': encoded(Image.fromarray(
        np.asarray(noise('L')).astype(np.uint16) * 257), 'PNG'),
    'deep colours.png': deep_colours(),
    'UPPER.JPG': encoded(noise(), 'JPEG', quality=95),
    'progressive.jpg': encoded(noise(), 'JPEG', quality=95, progressive=True),
}

_DDS = bytearray(encoded(noise(), 'DDS'))
_DDS[80:84] = (128).to_bytes(4, 'little')

#: Unreadable files, each with a part of the error message.
BROKEN = {
    'empty.jpg': (b'', 'cannot be decoded'),
    'text.jpg': (b'no image', 'cannot be decoded'),
    'cut.jpg': (encoded(noise(), 'JPEG')[:2000], 'truncated'),
    'cut.png': (encoded(noise(), 'PNG')[:9000], 'cannot be decoded'),
    'cut.webp': (encoded(noise(), 'WEBP')[:300], 'cannot be decoded'),
    'huge.png': (encoded(Image.new('1', (20000, 20000)), 'PNG'), 'exceeds limit'),
    'floats.png': (encoded(noise('F'), 'TIFF'), 'floats'),
    'unknown pixels.png': (bytes(_DDS), 'pixel format'),
}
#: Readable image of one pixel, too small for a face.
DOT = encoded(noise(size=(1, 1)), 'PNG')
