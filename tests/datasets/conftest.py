"""Toy data sets in VGGFace2's layout."""
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from PIL import Image

POINTS = 'NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y'
# two eyes, nose and mouth in a box of 100 x 120
FACE = np.array([[30, 45], [70, 45], [50, 70], [35, 95], [65, 95]], float)


class ToyRoot:
    """A root in VGGFace2's layout whose files can be spoilt one by one."""

    def __init__(self, root: Path, split: str, identities: int, each: int) -> None:
        self.root, self.split = root, split
        self.images = root / split
        self.boxes = root / 'bb_landmark' / f'loose_bb_{split}.csv'
        self.landmarks = root / 'bb_landmark' / f'loose_landmark_{split}.csv'
        self.listing = root / f'{split}_list.txt'
        self.names = [f'n{person:06d}/{number:04d}_01'
                      for person in range(2, identities + 2)
                      for number in range(1, each + 1)]
        self._write()

    def _write(self) -> None:
        self.boxes.parent.mkdir(parents=True, exist_ok=True)
        boxes, points = ['NAME_ID,X,Y,W,H'], [POINTS]
        for row, name in enumerate(self.names):
            path = self.image(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            draws = np.random.RandomState(row)
            noise = draws.randint(0, 256, (20, 16, 3)).astype(np.uint8)
            Image.fromarray(noise).resize((160, 200), Image.BICUBIC).save(path)
            corner = draws.randint(20, 40, 2)
            boxes.append(f'"{name}",{corner[0]},{corner[1]},100,{120 + row}')
            points.append(f'"{name}",' + ','.join(
                f'{value:.2f}' for value in (FACE + corner).ravel()))
        self.boxes.write_text('\n'.join(boxes) + '\n')
        self.landmarks.write_text('\n'.join(points) + '\n')
        self.listing.write_text(''.join(f'{name}.jpg\n' for name in self.names))

    def image(self, name: str) -> Path:
        return self.images / f'{name}.jpg'

    @staticmethod
    def change(path: Path, name: str, line: str | None) -> None:
        """Replace the line of a name by another one, or remove it."""
        lines = path.read_text().splitlines()
        lines = [line if name in old else old for old in lines]
        path.write_text(''.join(f'{kept}\n' for kept in lines if kept is not None))


@pytest.fixture
def toy_root(tmp_path: Path) -> Callable[..., ToyRoot]:
    def make(split: str = 'train', identities: int = 5, each: int = 4) -> ToyRoot:
        return ToyRoot(tmp_path / 'faces', split, identities, each)
    return make
