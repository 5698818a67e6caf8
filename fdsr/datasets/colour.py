"""Conversion of decoded images to sRGB: ICC profiles, transparency, bit depths."""
from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

#: PIL's modes by the colour space of an ICC profile.
_MODES = {'RGB': 'RGB', 'GRAY': 'L', 'CMYK': 'CMYK', 'Lab': 'LAB'}
#: Modes that PIL cannot convert to the input of another profile.
_SEPARATE = {'CMYK', 'LAB'}
#: A profile that moves no colour by more levels is sRGB.
_SAME = 2
#: Values of floats up to which [0, 1] is meant, so that interpolation may overshoot.
_OVERSHOOT = 1.1


def as_rgb(image: Image.Image) -> Image.Image:
    """Converts a decoded image to sRGB.

    An embedded ICC profile is applied, 16 bits are reduced to 8, floats are scaled, see
    :func:`float_levels`, and transparency is blended with white. An sRGB image is
    returned without a copy.

    Raises:
        ValueError: The range of the pixels is unknown.
    """
    profile = image.info.get('icc_profile')
    if image.mode[0] in 'FI':  # PIL would clip at 255, which is nearly white
        image = Image.fromarray(_levels(image))
    alpha = None
    if 'A' in image.getbands()[1:] or 'transparency' in image.info:
        image = image.convert('RGBA')
        alpha = image.getchannel('A')
    image = _converted(image, profile) if profile else image
    image = image if image.mode == 'RGB' else image.convert('RGB')
    return image if alpha is None else on_white(image, alpha)


def on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Blends an RGB image with white, where ``alpha`` (mode L) is below 255."""
    image = image.copy()
    image.putalpha(alpha)
    white = Image.new('RGBA', image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert('RGB')


def float_levels(values: np.ndarray) -> np.ndarray:
    """Converts floats in [0, 1] or [0, 255] to uint8; the largest value decides.

    Raises:
        ValueError: The values are in neither range.
    """
    low, high = float(values.min()), float(values.max())  # NaN fails each comparison
    if 1 - _OVERSHOOT <= low and high <= _OVERSHOOT:
        values = values * 255.
    elif not (-0.5 <= low and high < 255.5):
        raise ValueError('its pixels are floats of unknown range: expected 0 to 1 or 0 '
                         f'to 255, found {low:g} to {high:g}. Convert it to 8 bits')
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _levels(image: Image.Image) -> np.ndarray:
    """Converts floats and integers of more than 8 bits to uint8 (H, W)."""
    values = np.asarray(image)
    if image.mode == 'F':
        return float_levels(values)
    top = 65535
    if image.mode == 'I':  # 32 bits, of TIFF
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > top:
            raise ValueError('its pixels are integers of unknown range: expected 0 to '
                             f'255 or 0 to 65535, found {low} to {high}. Convert it to '
                             '8 bits')
        top = 255 if high <= 255 else top
    deep = values.astype(np.float64) * (255 / top)
    return deep.round().clip(0, 255).astype(np.uint8)


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    """Applies an ICC profile. Like browsers, ignores one that is unusable."""
    transform, mode = _to_srgb(profile)
    if transform is None or mode != image.mode and {mode, image.mode} & _SEPARATE:
        return image
    return ImageCms.applyTransform(
        image if image.mode == mode else image.convert(mode), transform)


@lru_cache(maxsize=32)
def _to_srgb(profile: bytes) -> tuple[Any, str]:
    """Returns the transform of a profile to sRGB, and the mode of its input.

    The transform is None if the profile is sRGB, or cannot be used.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[source.profile.xcolor_space.strip()]
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile('sRGB'), mode, 'RGB',
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION)
    except (ImageCms.PyCMSError, KeyError, OSError, TypeError, ValueError):
        return None, 'RGB'
    if mode in _SEPARATE:
        return transform, mode
    colours = np.stack(np.meshgrid(*[np.arange(0, 256, 15, np.uint8)] * 3), -1)
    probe = Image.fromarray(colours.reshape(18, -1, 3)).convert(mode)
    moved = np.asarray(ImageCms.applyTransform(probe, transform), np.int16)
    same = np.abs(moved - np.asarray(probe.convert('RGB'), np.int16)).max() <= _SAME
    return None if same else transform, mode
