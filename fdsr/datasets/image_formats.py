"""Formats of image files, recognised by content, and checks for damage.

Decoders complete damaged images silently. The checks compare a file with what its
format promises: lengths, end markers and checksums. BMP, TIFF and WebP have none of
these for their pixels, so that a range filled with zeros, which file systems and
downloads leave behind, is searched for instead.
"""
from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import numpy as np

#: Formats that are read, as PIL names them. PIL supports more, but calls external
#: programs for some of them, and they have no checks here.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF', 'AVIF', 'HEIF', 'PPM')
KINDS = 'JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, HEIC or PPM'
#: Suffixes of image files, in lower case.
SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.webp', '.tif', '.tiff',
            '.gif', '.avif', '.heic', '.heif', '.hif', '.ppm', '.pgm')
#: Bytes that :func:`format_of` needs.
HEAD = 64

_SIGNATURES = (
    (rb'\xff\xd8\xff', 'JPEG'), (rb'\x89PNG\r\n\x1a\n', 'PNG'),
    (rb'RIFF....WEBP', 'WEBP'), (rb'II[*+]\0|MM\0[*+]', 'TIFF'), (rb'GIF8[79]a', 'GIF'),
    # the size of the header follows, which tells a BMP from a text
    (rb'BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0', 'BMP'), (rb'P[1-6f]\s', 'PPM'))
_AVIF_BRANDS = {b'avif', b'avis'}
_HEIF_BRANDS = {b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1'}
#: Common files that are not supported images.
_FOREIGN = (
    (rb'\Z', 'an empty file'), (rb'\0*\Z', 'a file of zeros'), (rb'%PDF', 'a PDF'),
    (rb'%!PS', 'a PostScript file'), (rb'....ftyp', 'a video'),
    (rb'\x1aE\xdf\xa3|RIFF....AVI ', 'a video'),
    (rb'\s*(<\?xml.*)?<svg', 'an SVG'), (rb'\s*<', 'an HTML or XML file'),
    (rb'\0\x05\x16[\0\x07]', 'a metadata file of macOS'),
    (rb'8BPS', 'a Photoshop file'),
    (rb'\0\0\0\x0cjP  |\xffO\xffQ', 'a JPEG 2000 image'),
    (rb'\xff\x0a|\0\0\0\x0cJXL ', 'a JPEG XL image'),
    (rb'PK\x03\x04', 'a ZIP archive'), (rb'\x1f\x8b', 'a gzip archive'),
    (rb'version https://git-lfs', 'a Git LFS pointer'), (rb'DDS ', 'a DDS image'))
#: Zeros at the end of compressed data up to which it counts as complete. libwebp's
#: arithmetic coder writes zeros for uniform areas, at most 0.24 bits for 256 pixels.
_ZEROS, _PIXELS_PER_ZERO = 24, 4096
#: Deflate's highest compression.
_DEFLATE = 1032


class Damaged(ValueError):
    """Raised for a file that does not hold what its format promises."""


def format_of(head: bytes) -> str | None:
    """Returns the format of an image, one of :data:`FORMATS`, or None.

    Args:
        head: the first ``HEAD`` bytes of the file, or more.
    """
    for pattern, name in _SIGNATURES:
        if re.match(pattern, head, re.DOTALL):
            return name
    if head[4:8] == b'ftyp':
        size = min(int.from_bytes(head[:4], 'big'), HEAD)
        brands = {head[8:12], *(head[at:at + 4] for at in range(16, size, 4))}
        # mif1 contains either
        for names, name in ((_AVIF_BRANDS, 'AVIF'), (_HEIF_BRANDS, 'HEIF')):
            if brands & names:
                return name
    return None


def described(head: bytes) -> str:
    """Describes a file that is not a supported image, for example as "a PDF"."""
    for pattern, name in _FOREIGN:
        if re.match(pattern, head[:HEAD], re.DOTALL):
            return name
    return 'not an image'


def check_file(kind: str, content: bytes, size: tuple[int, int]) -> None:
    """Checks lengths, end markers and checksums before an image is decoded.

    Args:
        kind: its format.
        content: the whole file.
        size: width and height from its header.

    Raises:
        Damaged: the file is truncated, partly filled with zeros, or changed.
    """
    if kind == 'PNG':
        _check_png(content, size)
    elif kind == 'GIF':
        _check_gif(content)
    elif kind == 'WEBP':
        length = int.from_bytes(content[4:8], 'little') + 8
        _check_length(content, length)
        _check_zeros(content[:length], size)
    elif kind in ('AVIF', 'HEIF'):
        _check_zeros(content[:_end_of_boxes(content)], size)


def check_pixels(kind: str, pixels: np.ndarray, from_bottom: bool = False) -> None:
    """Checks that an image without checksums does not break off within a row.

    A file whose end was filled with zeros shows rows, then a part of a row, then black.
    Where black borders an image, it begins at a row, or differs little from row to row.

    Args:
        kind: the format; others than BMP, TIFF, GIF and PPM are not checked.
        pixels: (H, W) or (H, W, C).
        from_bottom: the file has the lowest row first.

    Raises:
        Damaged: it does.
    """
    if kind not in ('BMP', 'TIFF', 'GIF', 'PPM'):
        return
    lines = pixels.reshape(*pixels.shape[:2], -1)
    order = range(len(lines)) if from_bottom else range(len(lines) - 1, -1, -1)
    last = next((row for row in order if lines[row].any()), None)
    if last is None:
        return
    step = 1 if from_bottom else -1
    before, after = last + step, last - step
    if not (0 <= before < len(lines) and 0 <= after < len(lines)):
        return
    here, above = lines[last].any(-1), lines[before].any(-1)
    end = len(here) - int(here[::-1].argmax())
    if len(here) - end >= max(4, len(here) // 64) and above[end:].mean() > 0.75:
        raise Damaged(f'it breaks off in row {last}: the rest of its data is zeros')


def _check_length(content: bytes, length: int) -> None:
    if len(content) < length:
        raise Damaged(f'it is truncated: {len(content)} bytes, expected {length}')


def _check_zeros(content: bytes, size: tuple[int, int]) -> None:
    zeros = len(content) - len(content.rstrip(b'\0'))
    if zeros > _ZEROS + size[0] * size[1] // _PIXELS_PER_ZERO:
        raise Damaged(f'its last {zeros} bytes are zeros')


def _check_png(content: bytes, size: tuple[int, int]) -> None:
    """Checks every chunk's CRC, the end, and that the data suffices for the size."""
    view, at, compressed = memoryview(content), 8, 0
    bits = 1
    while at + 12 <= len(content):
        length = int.from_bytes(view[at:at + 4], 'big')
        kind = bytes(view[at + 4:at + 8])
        end = at + 12 + length
        if not kind.isalpha():
            raise Damaged(f'it has no PNG chunk at byte {at}')
        if end > len(content):
            break
        if zlib.crc32(view[at + 4:end - 4]) != int.from_bytes(view[end - 4:end], 'big'):
            raise Damaged(f'the CRC of its chunk {kind.decode()} at byte {at} is wrong')
        if kind == b'IHDR':
            bits = view[at + 16] * {2: 3, 4: 2, 6: 4}.get(view[at + 17], 1)
        compressed += length if kind == b'IDAT' else 0
        if kind == b'IEND':
            if compressed * _DEFLATE < size[0] * size[1] * bits // 8:
                raise Damaged(f'its {compressed} bytes cannot hold {size[0]}x{size[1]} '
                              'pixels')
            return
        at = end
    raise Damaged('it is truncated: its PNG chunk IEND is missing')


def _check_gif(content: bytes) -> None:
    """Checks that the blocks reach the trailer."""
    def after_table(flags: int, at: int) -> int:
        return at + (3 << (flags & 7) + 1 if flags & 0x80 else 0)

    def after_blocks(at: int) -> int:
        while content[at]:
            at += content[at] + 1
        return at + 1

    try:
        at = after_table(content[10], 13)
        while content[at] != 0x3b:
            if content[at] == 0x21:
                at = after_blocks(at + 2)
            elif content[at] == 0x2c:
                at = after_blocks(after_table(content[at + 9], at + 10) + 1)
            else:
                raise Damaged(f'it has no GIF block at byte {at}')
    except IndexError:
        raise Damaged('it is truncated: its GIF trailer is missing') from None


def _boxes(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Yields the type and the end of each box of a file in ISO's base media format."""
    at = 0
    while at + 8 <= len(content):
        size, kind = int.from_bytes(content[at:at + 4], 'big'), content[at + 4:at + 8]
        if size == 1:
            size = int.from_bytes(content[at + 8:at + 16], 'big')
        if kind == b'\0\0\0\0':  # padding
            return
        at = at + size if size else len(content)
        if size and size < 8:
            raise Damaged(f'its box {kind!r} has {size} bytes')
        yield kind, at


def _end_of_boxes(content: bytes) -> int:
    """Returns the end of the last box, and checks that the file reaches it."""
    boxes = list(_boxes(content))
    end = boxes[-1][1] if boxes else 0
    _check_length(content, end)
    if {b'meta', b'moov'}.isdisjoint(kind for kind, _ in boxes):
        raise Damaged('it has no box meta')
    return end
