"""Example images for the page: synthetic faces and, if available, a photograph."""

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

import numpy as np
from PIL import Image

#: First index and number of the synthetic faces; training sets use lower indices.
_FIRST, _DRAWN = 40_000, 4
_LR_SIZE, _HR_SIZE = 32, 256
#: In the 512 px photograph, the aligned square of the face has 171 px.
_SMALL_PHOTO = 512 * _LR_SIZE // 171


@dataclass(frozen=True)
class Example:
    """An image with suitable settings.

    Args:
        path: path of the file.
        scale: scale of the result.
    """

    path: Path
    scale: int = 2


def make_examples(folder: Path) -> List[Example]:
    """Writes synthetic faces of 32 px, and a photograph in small and original size.

    Args:
        folder: folder for the files.
    """
    return _synthetic_faces(folder) + _photographs(folder)


def _synthetic_faces(folder: Path) -> List[Example]:
    from fdsr.datasets import SyntheticFacesDataset
    from fdsr.geometry.components import FFHQ_EYE_SHARE
    faces = SyntheticFacesDataset(
        _DRAWN, _HR_SIZE, eye_share=FFHQ_EYE_SHARE, first=_FIRST)
    return [Example(_write(faces.load(index)['img'], folder / f'drawn_{index + 1}.png',
                           _LR_SIZE)) for index in range(_DRAWN)]


def _photographs(folder: Path) -> List[Example]:
    try:
        # scikit-image is optional; the photograph is a file inside it
        from skimage.data import astronaut
        photo = astronaut()
    except (ImportError, OSError):
        return []
    return [Example(_write(photo, folder / 'small_photograph.png', _SMALL_PHOTO),
                    scale=8),
            Example(_write(photo, folder / 'photograph.png'))]


def _write(image: np.ndarray, path: Path, side: Optional[int] = None) -> Path:
    output = Image.fromarray(image)
    if side:
        output = output.resize((side, side), Image.BICUBIC)
    output.save(path)
    return path
