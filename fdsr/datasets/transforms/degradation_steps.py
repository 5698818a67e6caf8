"""Operations of a blind degradation.

They process float32 RGB in [0, 255] and take all random numbers from the generator that
is passed to them.
"""
from __future__ import annotations

import hashlib
import io
import math
from typing import Any, Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from fdsr.registry import TRANSFORMS

_KINDS = ('iso', 'aniso', 'motion')
Range = tuple[float, float]


def random_state(name: str, seed: int | None) -> np.random.RandomState:
    """Returns the generator for the degradation of one sample.

    numpy guarantees its stream, so that images are independent of the version.

    Args:
        name: Name of the sample.
        seed: With a seed, the stream depends only on seed and name. ``None`` takes the
            state from ``np.random``, which the dataset seeds for each sample.
    """
    if seed is None:
        words = np.random.randint(0, 2**32, 4, dtype=np.uint32)
    else:
        digest = np.frombuffer(hashlib.sha256(name.encode()).digest(), '<u4')
        words = np.random.SeedSequence((seed, *digest.tolist())).generate_state(4)
    return np.random.RandomState(words)


def to_uint8(img: np.ndarray) -> np.ndarray:
    """Rounds and clamps to uint8."""
    return np.clip(np.rint(img), 0, 255).astype(np.uint8)


def pil_resize(img: np.ndarray, size: tuple[int, int], kernel: int) -> np.ndarray:
    """Resizes float32 (H, W, 3) to (width, height) and clamps to [0, 255]."""
    channels = [np.asarray(Image.fromarray(channel).resize(size, kernel))
                for channel in np.moveaxis(img, 2, 0).copy()]
    return np.clip(np.stack(channels, 2), 0, 255)


# Blur kernels are float64, square, of odd size, symmetric, with the sum 1. x points to
# the right and y down, so that a positive angle rotates from the right of the image
# towards the bottom.
def gaussian_kernel(size: int, sigma_x: float, sigma_y: float | None = None,
                    angle: float = 0.0) -> np.ndarray:
    """Returns a Gaussian, sampled at the centres of the pixels.

    Args:
        size: Side of the kernel in pixels, odd.
        sigma_x: Standard deviation along the first axis in pixels, > 0.
        sigma_y: Standard deviation along the second axis; default: ``sigma_x``.
        angle: Rotation of the axes in radians.

    Returns:
        (size, size) float64.

    Raises:
        ValueError: ``size`` is not an odd number >= 1, or a deviation is not positive.
    """
    sigma_y = sigma_x if sigma_y is None else sigma_y
    if size != int(size) or size < 1 or size % 2 == 0:
        raise ValueError(f'size is {size}, expected an odd number >= 1.')
    if min(sigma_x, sigma_y) <= 0:
        raise ValueError(f'The deviations are {sigma_x} and {sigma_y}, expected '
                         'numbers > 0.')
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    along = math.cos(angle) * x + math.sin(angle) * y
    across = -math.sin(angle) * x + math.cos(angle) * y
    kernel = np.exp(-0.5 * ((along / sigma_x)**2 + (across / sigma_y)**2))
    return kernel / kernel.sum()


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """Returns the kernel of a point that moves uniformly along a straight line.

    Args:
        length: Length of the line in pixels, >= 0; 0 means no blur.
        angle: Angle of the line in radians.

    Returns:
        (S, S) float64; S is the smallest odd size for any direction.

    Raises:
        ValueError: ``length`` is negative.
    """
    if length < 0:
        raise ValueError(f'length is {length}, expected a number >= 0.')
    half = math.ceil(length / 2)
    if half == 0:
        return np.ones((1, 1))
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    pieces = 64 * half
    for step in length * ((np.arange(pieces) + 0.5) / pieces - 0.5):
        # bilinear weights of the four neighbours
        x, y = half + step * math.cos(angle), half + step * math.sin(angle)
        left, top = min(int(x), 2 * half - 1), min(int(y), 2 * half - 1)
        across, down = x - left, y - top
        kernel[top:top + 2, left:left + 2] += np.outer(
            [1 - down, down], [1 - across, across])
    return kernel / kernel.sum()


def read_range(name: str, value: float | Sequence[float], least: float,
               most: float) -> Range:
    """Returns an argument as a range; a number is a range of one value.

    Raises:
        ValueError: The value is not an ordered pair, or exceeds [least, most].
    """
    low, high = (value, value) if np.isscalar(value) else tuple(value)
    if not least <= low <= high <= most:
        raise ValueError(f'{name} is {value}, expected a number or (low, high) with '
                         f'{least:g} <= low <= high <= {most:g}.')
    return low, high


def in_words(values: Range) -> str:
    """Formats a range."""
    low, high = values
    return f'{low:g}' if low == high else f'{low:g} to {high:g}'


class DegradationStep(BaseTransform):
    """Base class of operations that are applied with a probability.

    A subclass implements :meth:`degrade` and :meth:`words`. Steps are listed in
    :class:`BlindDegradation`. A step that is itself in a pipeline degrades the LR image
    and must follow :class:`DownsampleToLR`.

    Args:
        prob: Probability of the operation.

    Raises:
        ValueError: ``prob`` is not in [0, 1].
    """

    #: True if the step changes the size of the image.
    resizes = False
    #: True if the result differs between epochs.
    varies = True

    def __init__(self, prob: float = 1.0) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is {prob}, expected a number between 0 and 1.')
        self.prob = prob

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Degrades an image, (H, W, 3) float32 RGB in [0, 255]."""
        raise NotImplementedError

    def words(self) -> str:
        """Describes the operation, without ``prob``."""
        raise NotImplementedError

    def apply(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Degrades an image with the probability ``prob``."""
        return self.degrade(img, draws) if draws.random_sample() < self.prob else img

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Degrades the LR image.

        Raises:
            ValueError: The LR image does not exist yet, or its size would change.
        """
        kind = type(self).__name__
        if 'gt' not in results:
            raise ValueError(f'{kind} would degrade the HR image: list it in the steps '
                             'of BlindDegradation, or put it after DownsampleToLR.')
        if self.resizes:
            raise ValueError(f'{kind} would change the size of LR: list it in the '
                             'steps of BlindDegradation.')
        draws = random_state(results['name'], None)
        results['img'] = to_uint8(self.apply(results['img'].astype(np.float32), draws))
        return results

    def protocol(self) -> str:
        """Describes the operation for the protocol of a result."""
        return self.words() + (f' (in {self.prob:g} of the images)'
                               if self.prob < 1 else '')

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.protocol()})'


@TRANSFORMS.register_module()
class BlurFace(DegradationStep):
    """Convolves with a random kernel, with reflection at the border.

    Args:
        kinds: Probability of each kind: ``iso`` and ``aniso`` (Gaussian), ``motion``
            (a straight line in any direction).
        sigma: Standard deviation of a Gaussian, > 0; ``aniso`` samples two and an
            angle.
        size: Side of a Gaussian kernel, odd.
        length: Length of the line of ``motion``.
        reference: Image side to which ``sigma``, ``size`` and ``length`` refer; they
            scale with the longer side of the image. ``None``: they are in pixels.
        prob: Probability of the blur.

    Raises:
        ValueError: An argument is out of range, ``kinds`` names an unknown kind, or
            its probabilities do not sum to one.
    """

    def __init__(self, kinds: dict[str, float], sigma: float | Range = (0.1, 10.0),
                 size: int | tuple[int, int] = 41, length: float | Range = (5.0, 21.0),
                 reference: int | None = 512, prob: float = 1.0) -> None:
        super().__init__(prob)
        unknown = set(kinds) - set(_KINDS)
        if unknown or min(kinds.values(), default=-1) < 0 or not np.isclose(
                sum(kinds.values()), 1):
            raise ValueError(f'kinds is {dict(kinds)}, expected probabilities that '
                             f'sum to 1, of {", ".join(_KINDS)}.')
        if reference is not None and reference < 1:
            raise ValueError(f'reference is {reference}, expected pixels or None.')
        total = sum(kinds.values())  # numpy tolerates less than the check above
        self.kinds = {name: share / total for name, share in kinds.items()}
        self.sigma = read_range('sigma', sigma, 1e-3, 1e3)
        self.size = read_range('size', size, 1, 999)
        self.length = read_range('length', length, 0, 999)
        self.reference = reference
        if any(side != int(side) or side % 2 == 0 for side in self.size):
            raise ValueError(f'size is {size}, expected odd numbers.')

    def kernel(self, side: int, draws: np.random.RandomState) -> np.ndarray:
        """Samples a kernel.

        Args:
            side: Longer side of the image in pixels.
            draws: The generator.
        """
        unit = 1.0 if self.reference is None else side / self.reference
        kind = draws.choice(list(self.kinds), p=list(self.kinds.values()))
        if kind == 'motion':
            return motion_kernel(unit * draws.uniform(*self.length),
                                 draws.uniform(0, np.pi))
        half = draws.randint(self.size[0] // 2, self.size[1] // 2 + 1)
        size = 2 * int(np.ceil(unit * half)) + 1
        sigma_x = unit * draws.uniform(*self.sigma)
        if kind == 'iso':
            return gaussian_kernel(size, sigma_x)
        return gaussian_kernel(size, sigma_x, unit * draws.uniform(*self.sigma),
                               draws.uniform(0, np.pi))

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Blurs an image without changing its size and range."""
        kernel = self.kernel(max(img.shape[:2]), draws)
        # filter2D correlates; for symmetric kernels this equals a convolution
        return cv2.filter2D(img, -1, kernel, borderType=cv2.BORDER_REFLECT_101)

    def words(self) -> str:
        """Describes the kinds of kernels and their parameters."""
        kinds = ', '.join(f'{kind} {share:g}' for kind, share in self.kinds.items())
        facts = []
        if set(self.kinds) - {'motion'}:
            facts.append(f'sigma {in_words(self.sigma)}, kernel {in_words(self.size)}')
        if 'motion' in self.kinds:
            facts.append(f'motion {in_words(self.length)}')
        of = '' if self.reference is None else f' of {self.reference}'
        return f'blur ({kinds}; {", ".join(facts)} px{of})'


@TRANSFORMS.register_module()
class ShrinkFace(DegradationStep):
    """Divides the sides by a random r, rounding down.

    Args:
        r: Range of the uniform distribution of r; below 1 the image grows.
        resample: ``bicubic`` (PIL, anti-aliased) or ``bilinear`` (OpenCV, without
            anti-aliasing).
        prob: Probability of the operation.

    Raises:
        ValueError: ``r`` or ``resample`` is out of range.
    """

    resizes = True

    def __init__(self, r: float | Range = (1.0, 8.0), resample: str = 'bicubic',
                 prob: float = 1.0) -> None:
        super().__init__(prob)
        self.r = read_range('r', r, 0.1, 1000)
        if resample not in ('bicubic', 'bilinear'):
            raise ValueError(f'resample is {resample!r}, expected bicubic or bilinear.')
        self.resample = resample

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Resizes to at least one pixel and clamps the overshoot of bicubic."""
        r = draws.uniform(*self.r)
        size = tuple(max(1, int(side / r)) for side in (img.shape[1], img.shape[0]))
        if self.resample == 'bilinear':
            return cv2.resize(img, size, interpolation=cv2.INTER_LINEAR)
        return pil_resize(img, size, Image.BICUBIC)

    def words(self) -> str:
        """Describes factor and kernel."""
        kernel = ('PIL bicubic, anti-aliased' if self.resample == 'bicubic' else
                  'OpenCV bilinear, not anti-aliased')
        return f'downsampled by r = {in_words(self.r)} ({kernel})'


@TRANSFORMS.register_module()
class AddNoise(DegradationStep):
    """Adds white Gaussian noise, independent for each channel, and clamps.

    Args:
        sigma: Standard deviation in grey levels of 255.
        prob: Probability of the noise.

    Raises:
        ValueError: ``sigma`` is out of range.
    """

    def __init__(self, sigma: float | Range = (0.0, 15.0), prob: float = 1.0) -> None:
        super().__init__(prob)
        self.sigma = read_range('sigma', sigma, 0, 255)

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Adds noise to an image."""
        noise = draws.uniform(*self.sigma) * draws.standard_normal(img.shape)
        return np.clip(img + noise, 0, 255).astype(np.float32)

    def words(self) -> str:
        """Describes kind and deviation of the noise."""
        return f'Gaussian noise of sigma {in_words(self.sigma)}'


@TRANSFORMS.register_module()
class CompressJPEG(DegradationStep):
    """Compresses with PIL's JPEG (4:2:0) after rounding to uint8.

    Args:
        quality: Range of the quality, integers, both ends included.
        shift: Place the 8x8 blocks at a random offset, as in a crop of a larger JPEG.
        prob: Probability of the compression.

    Raises:
        ValueError: ``quality`` is not a range of integers in [1, 100].
    """

    def __init__(self, quality: int | tuple[int, int] = (40, 80), shift: bool = False,
                 prob: float = 1.0) -> None:
        super().__init__(prob)
        self.shift = shift
        self.quality = read_range('quality', quality, 1, 100)
        if any(value != int(value) for value in self.quality):
            raise ValueError(f'quality is {quality}, expected integers.')

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Compresses and decodes an image."""
        quality = int(draws.randint(self.quality[0], self.quality[1] + 1))
        top, left = draws.randint(0, 8, 2) if self.shift else (0, 0)
        img = np.pad(img, ((top, 0), (left, 0), (0, 0)), 'edge')
        file = io.BytesIO()
        Image.fromarray(to_uint8(img)).save(file, 'JPEG', quality=quality)
        return np.asarray(Image.open(file), np.float32)[top:, left:]

    def words(self) -> str:
        """Describes format and quality."""
        where = ', blocks at a random offset' if self.shift else ''
        return f'JPEG of quality {in_words(self.quality)}{where}'
