"""Image measures: sharpness, and hashes for finding duplicates."""
from __future__ import annotations

import cv2
import numpy as np
from PIL import Image


def sharpness(img: np.ndarray) -> float:
    """Returns the variance of the Laplacian of the luma (4 neighbours, no border).

    Args:
        img: uint8 (H, W, 3), RGB.

    Returns:
        0 for a uniform image; increases with fine detail and noise.
    """
    luma = np.asarray(Image.fromarray(img).convert('L'))
    laplacian = cv2.Laplacian(luma, cv2.CV_16S)[1:-1, 1:-1]
    return float(laplacian.var(dtype=np.float64)) if laplacian.size else 0.0


def dhash(img: np.ndarray) -> int:
    """Returns a 64-bit difference hash: compares 8x8 cells with their right neighbours.

    Scaling, JPEG and small changes of brightness preserve most bits. A mirrored image
    has a different hash.

    Args:
        img: uint8 (H, W, 3), RGB.
    """
    small = Image.fromarray(img).convert('L').resize((9, 8), Image.BOX)
    cells = np.asarray(small, np.int16)
    bits = np.packbits(cells[:, :-1] > cells[:, 1:])
    return int.from_bytes(bits.tobytes(), 'big')


def thumbnail(img: np.ndarray) -> np.ndarray:
    """Returns the luma in 16x16 cells, to distinguish copies from other faces.

    Aligned faces have similar difference hashes: of pairs of different people, about
    one in several thousand differs in at most 4 bits. Thumbnails distinguish them.

    Args:
        img: uint8 (H, W, 3), RGB.

    Returns:
        uint8 (256,).
    """
    small = Image.fromarray(img).convert('L').resize((16, 16), Image.BOX)
    return np.asarray(small).ravel()
