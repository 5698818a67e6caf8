"""The operations that a blind degradation is made of.

They see float32 RGB in [0, 255] and take all their draws from the generator that they
are given, never from another one.
"""
from __future__ import annotations

import hashlib
import io
from typing import Any, Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from fdsr.datasets.transforms.kernels import gaussian_kernel, motion_kernel
from fdsr.registry import TRANSFORMS

_KINDS = ('iso', 'aniso', 'motion')
Range = tuple[float, float]


def random_state(name: str, seed: int | None) -> np.random.RandomState:
    """The generator of one sample's degradation.

    Its stream is frozen by numpy, so images stay the same with later versions.

    Args:
        name: The sample's name.
        seed: With a seed, draws depend on it and on the name alone. ``None`` takes
            one draw from ``np.random``, which a dataset seeds for each sample by
            its own seed, the epoch and the index.
    """
    if seed is None:
        words = np.random.randint(0, 2**32, 4, dtype=np.uint32)
    else:
        digest = np.frombuffer(hashlib.sha256(name.encode()).digest(), '<u4')
        words = np.random.SeedSequence((seed, *digest.tolist())).generate_state(4)
    return np.random.RandomState(words)


def to_uint8(img: np.ndarray) -> np.ndarray:
    """Round and clamp to uint8."""
    return np.clip(np.rint(img), 0, 255).astype(np.uint8)


def read_range(name: str, value: float | Sequence[float], least: float,
               most: float) -> Range:
    """Check a range of an argument; a number stands for a range of one value.

    Raises:
        ValueError: It is no pair in order, or leaves [least, most].
    """
    low, high = (value, value) if np.isscalar(value) else tuple(value)
    if not least <= low <= high <= most:
        raise ValueError(f'{name} is {value}, expected a number or (low, high) with '
                         f'{least:g} <= low <= high <= {most:g}.')
    return low, high


def in_words(values: Range, unit: str = '') -> str:
    """A range as it is printed."""
    low, high = values
    return (f'{low:g}' if low == high else f'{low:g} to {high:g}') + unit


class DegradationStep(BaseTransform):
    """One operation of a degradation, with a probability.

    A subclass implements :meth:`degrade` and :meth:`words`. Steps are listed in
    :class:`BlindDegradation`. Alone in a pipeline a step changes the LR image and
    stands behind :class:`DownsampleToLR`.

    Args:
        prob: How likely the operation happens.

    Raises:
        ValueError: ``prob`` is not in [0, 1].
    """

    #: whether an image leaves with another size
    resizes = False
    #: whether a sample differs between epochs
    varies = True

    def __init__(self, prob: float = 1.0) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is {prob}, expected a number between 0 and 1.')
        self.prob = prob

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 255], and the same back, degraded."""
        raise NotImplementedError

    def words(self) -> str:
        """What it does, without ``prob``, for a result's protocol."""
        raise NotImplementedError

    def apply(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Degrade an image, or leave it, as ``prob`` has it."""
        return self.degrade(img, draws) if draws.random_sample() < self.prob else img

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Degrade the LR image.

        Raises:
            ValueError: There is none yet, or it would get another size.
        """
        kind = type(self).__name__
        if 'gt' not in results:
            raise ValueError(f'{kind} would degrade the HR image: list it in '
                             'BlindDegradation\'s steps, or put it behind '
                             'DownsampleToLR.')
        if self.resizes:
            raise ValueError(f'{kind} would change the size of LR: list it in '
                             'BlindDegradation\'s steps.')
        draws = random_state(results['name'], None)
        results['img'] = to_uint8(self.apply(results['img'].astype(np.float32), draws))
        return results

    def protocol(self) -> str:
        """What it does, for a result's protocol."""
        return self.words() + (f' (in {self.prob:g} of the pictures)'
                               if self.prob < 1 else '')

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.protocol()})'


@TRANSFORMS.register_module()
class BlurFace(DegradationStep):
    """Convolve with a random kernel; borders are reflected.

    Args:
        kinds: Probability of each kind: ``iso`` and ``aniso`` (Gaussian), ``motion``
            (a straight line in any direction).
        sigma: Deviation of a Gaussian, > 0; of ``aniso`` two are drawn, and the angle.
        size: Side of a Gaussian's kernel, odd.
        length: Of the line of ``motion``.
        reference: ``sigma``, ``size`` and ``length`` are pixels of an image whose
            longer side has so many, and follow the image; ``None``: they are pixels
            of the image.
        prob: How likely an image is blurred.

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
        self.kinds = dict(kinds)
        self.sigma = read_range('sigma', sigma, 1e-3, 1e3)
        self.size = read_range('size', size, 1, 999)
        self.length = read_range('length', length, 0, 999)
        self.reference = reference
        if any(side != int(side) or side % 2 == 0 for side in self.size):
            raise ValueError(f'size is {size}, expected odd numbers.')

    def kernel(self, side: int, draws: np.random.RandomState) -> np.ndarray:
        """Draw a kernel.

        Args:
            side: The image's longer side, in px.
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
        """Blur an image; its size and range stay."""
        kernel = self.kernel(max(img.shape[:2]), draws)
        # a correlation, and so a convolution: kernels are symmetric
        return cv2.filter2D(img, -1, kernel, borderType=cv2.BORDER_REFLECT_101)

    def words(self) -> str:
        """The kinds of kernels with their parameters."""
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
    """Divide the sides by a random r, rounding down.

    Args:
        r: Drawn uniformly; below 1 the image grows.
        resample: ``bicubic`` is PIL's, anti-aliased; ``bilinear`` is OpenCV's, which
            looks at four pixels only.
        prob: How likely an image is shrunk.

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
        """Shrink an image, to one pixel at least; bicubic's overshoot is clamped."""
        r = draws.uniform(*self.r)
        size = tuple(max(1, int(side / r)) for side in (img.shape[1], img.shape[0]))
        if self.resample == 'bilinear':
            return cv2.resize(img, size, interpolation=cv2.INTER_LINEAR)
        channels = [np.asarray(Image.fromarray(channel).resize(size, Image.BICUBIC))
                    for channel in np.moveaxis(img, 2, 0).copy()]
        return np.clip(np.stack(channels, 2), 0, 255)

    def words(self) -> str:
        """The factor and the kernel."""
        kernel = ('PIL bicubic, anti-aliased' if self.resample == 'bicubic' else
                  'OpenCV bilinear, not anti-aliased')
        return f'down-sampled by r = {in_words(self.r)} ({kernel})'


@TRANSFORMS.register_module()
class AddNoise(DegradationStep):
    """Add white Gaussian noise, each channel its own, and clamp.

    Args:
        sigma: Its deviation, in grey levels of 255.
        prob: How likely an image gets noise.

    Raises:
        ValueError: ``sigma`` is out of range.
    """

    def __init__(self, sigma: float | Range = (0.0, 15.0), prob: float = 1.0) -> None:
        super().__init__(prob)
        self.sigma = read_range('sigma', sigma, 0, 255)

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Add noise to an image."""
        noise = draws.uniform(*self.sigma) * draws.standard_normal(img.shape)
        return np.clip(img + noise, 0, 255).astype(np.float32)

    def words(self) -> str:
        """The noise's kind and deviation."""
        return f'Gaussian noise of sigma {in_words(self.sigma)}'


@TRANSFORMS.register_module()
class CompressJPEG(DegradationStep):
    """Round to uint8, write as JPEG by PIL (4:2:0) and read again.

    Args:
        quality: An integer is drawn from this range, both ends included.
        prob: How likely an image is compressed.

    Raises:
        ValueError: ``quality`` is no range of integers in [1, 100].
    """

    def __init__(self, quality: int | tuple[int, int] = (40, 80),
                 prob: float = 1.0) -> None:
        super().__init__(prob)
        self.quality = read_range('quality', quality, 1, 100)
        if any(value != int(value) for value in self.quality):
            raise ValueError(f'quality is {quality}, expected integers.')

    def degrade(self, img: np.ndarray, draws: np.random.RandomState) -> np.ndarray:
        """Compress an image."""
        quality = int(draws.randint(self.quality[0], self.quality[1] + 1))
        file = io.BytesIO()
        Image.fromarray(to_uint8(img)).save(file, 'JPEG', quality=quality)
        return np.asarray(Image.open(file), np.float32)

    def words(self) -> str:
        """The format and its quality."""
        return f'JPEG of quality {in_words(self.quality)}'
