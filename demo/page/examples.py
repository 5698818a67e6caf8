"""Pictures to try the page with: drawn faces, and a photograph if there is one."""

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

import numpy as np
from PIL import Image

#: The drawn people; the training sets' come before.
_FIRST, _DRAWN = 40_000, 4
_LR_SIZE, _HR_SIZE = 32, 256
#: In the photograph of 512 px the face's aligned square has 171 px.
_SMALL_PHOTO = 512 * _LR_SIZE // 171


@dataclass(frozen=True)
class Example:
    """A picture with the settings that suit it.

    Args:
        path: of the file.
        whole: whether it is a whole photograph.
        scale: to restore it at.
    """

    path: Path
    whole: bool = False
    scale: int = 2


def make_examples(folder: Path) -> List[Example]:
    """Draws faces of 32 px and adds a photograph, small and as it is.

    Args:
        folder: to write them to.
    """
    return _drawn_faces(folder) + _photographs(folder)


def _drawn_faces(folder: Path) -> List[Example]:
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
                    whole=True, scale=8),
            Example(_write(photo, folder / 'photograph.png'), whole=True)]


def _write(image: np.ndarray, path: Path, side: Optional[int] = None) -> Path:
    picture = Image.fromarray(image)
    if side:
        picture = picture.resize((side, side), Image.BICUBIC)
    picture.save(path)
    return path
