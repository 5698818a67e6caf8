"""What is measured on a face: sharpness, and a hash by which to find it again."""
from __future__ import annotations

import cv2
import numpy as np
from PIL import Image


def sharpness(img: np.ndarray) -> float:
    """Variance of the Laplacian of a picture's luma, 4 neighbours, no border.

    Args:
        img: uint8 (H, W, 3), RGB.

    Returns:
        0 for a flat picture; the more fine detail (or noise), the more.
    """
    luma = np.asarray(Image.fromarray(img).convert('L'))
    laplacian = cv2.Laplacian(luma, cv2.CV_16S)[1:-1, 1:-1]
    return float(laplacian.var(dtype=np.float64)) if laplacian.size else 0.0


def dhash(img: np.ndarray) -> int:
    """64-bit difference hash: whether each of 8x8 cells is brighter than its right one.

    Scaling, JPEG and small changes of brightness leave most bits as they are; a mirror
    image has another hash.

    Args:
        img: uint8 (H, W, 3), RGB.
    """
    small = Image.fromarray(img).convert('L').resize((9, 8), Image.BOX)
    cells = np.asarray(small, np.int16)
    bits = np.packbits(cells[:, :-1] > cells[:, 1:])
    return int.from_bytes(bits.tobytes(), 'big')


def thumbnail(img: np.ndarray) -> np.ndarray:
    """A face's luma in 16x16 cells, by which copies are told from other faces.

    Aligned faces look much alike in a dHash: of different people's, one pair in some
    thousands differs in at most 4 bits. Thumbnails tell them apart.

    Args:
        img: uint8 (H, W, 3), RGB.

    Returns:
        uint8 (256,).
    """
    small = Image.fromarray(img).convert('L').resize((16, 16), Image.BOX)
    return np.asarray(small).ravel()
