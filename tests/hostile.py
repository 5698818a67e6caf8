"""Hostile inputs of all tests: unusual and damaged images, and code in files."""
import io
import os
import struct

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


def icc_profile(primaries, gamma):
    """Returns an ICC profile of matrix and gamma.

    Args:
        primaries: XYZ of red, green and blue, adapted to D50.
        gamma: exponent of the curve.
    """
    def fixed(value):
        return struct.pack('>i', round(value * 65536))

    def xyz(values):
        return b'XYZ \0\0\0\0' + b''.join(map(fixed, values))

    curve = b'curv\0\0\0\0\0\0\0\1' + struct.pack('>H', round(gamma * 256)) + b'\0\0'
    text = b'desc\0\0\0\0\0\0\0\2x\0' + bytes(80)
    blocks = [(b'desc', text), (b'cprt', b'text\0\0\0\0none'),
              (b'wtpt', xyz((0.9642, 1, 0.8249))),
              *zip((b'rXYZ', b'gXYZ', b'bXYZ'), map(xyz, primaries)),
              *((name, curve) for name in (b'rTRC', b'gTRC', b'bTRC'))]
    table, data, at = struct.pack('>I', len(blocks)), b'', 132 + 12 * len(blocks)
    for name, block in blocks:
        block += bytes(-len(block) % 4)
        table += name + struct.pack('>II', at + len(data), len(block))
        data += block
    size = at + len(data)
    header = (struct.pack('>I', size) + b'\0\0\0\0\2\x10\0\0mntrRGB XYZ ' + bytes(12)
              + b'acsp' + bytes(28) + b''.join(map(fixed, (0.9642, 1, 0.8249))))
    return header.ljust(128, b'\0') + table + data


def display_p3():
    """Returns a profile with the primaries of Display P3 and a gamma of 2.2."""
    return icc_profile(((.51512, .24120, -.00105), (.29198, .69225, .04189),
                        (.15710, .06657, .78407)), 2.2)


def adobe_rgb():
    """Returns a profile with the primaries and the gamma of Adobe RGB (1998)."""
    return icc_profile(((.60974, .31111, .01947), (.20528, .62567, .06087),
                        (.14919, .06322, .74457)), 2.2)


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
    'old.gif': encoded(noise(), 'GIF'),
    'phone.avif': encoded(noise(), 'AVIF', quality=95),
    'floats.png': encoded(noise('F'), 'TIFF'),
    'unit floats.tif': encoded(Image.fromarray(
        np.asarray(noise('F')) / np.float32(255)), 'TIFF'),
    'long integers.tif': encoded(noise('I'), 'TIFF'),
}

#: Unreadable files, each with a part of the error message.
BROKEN = {
    'empty.jpg': (b'', 'cannot be decoded'),
    'text.jpg': (b'no image', 'cannot be decoded'),
    'cut.jpg': (encoded(noise(), 'JPEG')[:2000], 'damaged'),
    'cut.png': (encoded(noise(), 'PNG')[:9000], 'cannot be decoded'),
    'cut.webp': (encoded(noise(), 'WEBP')[:300], 'cannot be decoded'),
    'huge.png': (encoded(Image.new('1', (20000, 20000)), 'PNG'), 'exceeds limit'),
    'wide floats.png': (encoded(Image.fromarray(
        np.asarray(noise('F')) * np.float32(9)), 'TIFF'), 'floats of unknown range'),
    'other format.png': (encoded(noise(), 'DDS'), 'a DDS image'),
    'strip.png': (encoded(Image.new('L', (40000, 4)), 'PNG'), '32,766 pixels per side'),
}
#: Readable image of one pixel, too small for a face.
DOT = encoded(noise(size=(1, 1)), 'PNG')
