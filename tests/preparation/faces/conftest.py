"""Toy photographs to prepare faces from, and a way to do it in this process."""
import numpy as np
import pytest
from PIL import Image

from fdsr.preparation.faces.prepare import prepare
from fdsr.preparation.faces.settings import Settings
from tests.datasets.conftest import FACE, POINTS, toy_root  # noqa: F401  a fixture


class Tree:
    """A folder tree of pictures, with five points each in one CSV."""

    def __init__(self, root):
        self.root, self.csv = root / 'pictures', root / 'points.csv'
        self.points = {}

    def add(self, path, image=None, corner=(30, 30), row=None):
        """Add a picture, noise unless one is given, and its row."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if image is None:
            draws = np.random.RandomState(len(self.points))
            noise = draws.randint(0, 256, (20, 16, 3)).astype(np.uint8)
            image = Image.fromarray(noise).resize((160, 200), Image.BICUBIC)
        if isinstance(image, bytes):
            file.write_bytes(image)
        else:
            image.save(file, quality=95)
        name = path.rpartition('.')[0]
        self.points[name] = row or ','.join(
            f'{value:.2f}' for value in (FACE + corner).ravel())
        self.write()

    def write(self, header=POINTS, bom='', quote='"'):
        """Write the CSV."""
        lines = [header] + [f'{quote}{name}{quote},{row}'
                            for name, row in self.points.items()]
        self.csv.write_text(bom + ''.join(f'{line}\n' for line in lines))

    def settings(self, **kwargs):
        """Settings that read it, with four pictures in a shard."""
        return Settings(str(self.root), landmarks=str(self.csv),
                        **{**dict(size=32, eye_share=0.3, shard_size=4), **kwargs})


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / 'tree')


@pytest.fixture
def people(tree):
    """Four people with three pictures each."""
    for person in 'abcd':
        for number in range(3):
            tree.add(f'{person}/{number}.jpg')
    return tree


@pytest.fixture
def prepared(tmp_path):
    """Prepares in this process, into a folder of the test."""
    def run(settings, out='out', **kwargs):
        return prepare(settings, tmp_path / out, **kwargs)
    return run


def files_of(folder):
    """All files below a folder with their contents."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()}
