"""Dataset of synthetic faces with exact landmarks."""

from __future__ import annotations

from typing import Any

from fdsr.datasets.base import FaceDataset
from fdsr.registry import DATASETS
from fdsr.synthetic.portrait import render_portrait
from fdsr.synthetic.sampling import sample_face


@DATASETS.register_module()
class SyntheticFacesDataset(FaceDataset):
    """Procedurally rendered faces.

    Item ``index`` is image ``first + index`` of an infinite, fixed population. It
    depends only on that number, ``identity_seed``, ``faces_per_identity``, ``size`` and
    ``eye_share``. Identities differ in skin, eyes, brows, nose, mouth, hair, beard and
    glasses; their images in pose, expression, gaze, light, clothes and background.

    To train and test on different identities, give the test set a ``first`` of at least
    the training set's ``first + length``, and both the same ``faces_per_identity``.

    Items are those of :class:`FaceDataset`. The landmarks are the exact positions of
    pupils, nose tip and mouth corners.

    Args:
        length: Number of images.
        size: Side of HR in pixels; preferably a multiple of 64, up to 512.
        eye_share: Eye distance of a frontal face as a share of the side. It varies by a
            few percent, and more with the pose.
        first: Number of the first image.
        faces_per_identity: Consecutive images of each identity.
        identity_seed: Seed of the population.
        name: Name in reports and protocols; default: ``synthetic_faces_<first>``.
        **options: Further arguments of :class:`FaceDataset`. ``seed`` is that of the
            transforms.

    Raises:
        ValueError: An argument is out of range, or ``first`` is not a multiple of
            ``faces_per_identity``, which would split an identity between two sets.
    """

    def __init__(self, length: int, size: int = 256, eye_share: float = 0.3125,
                 first: int = 0, faces_per_identity: int = 1, identity_seed: int = 0,
                 name: str | None = None, **options: Any) -> None:
        self.length, self.first = length, first
        self.size, self.eye_share = size, eye_share
        self.faces_per_identity = faces_per_identity
        self.identity_seed = identity_seed
        self._check_arguments()
        super().__init__(name=name or f'synthetic_faces_{first}', **options)

    def _check_arguments(self) -> None:
        least = dict(length=1, size=16, first=0, faces_per_identity=1, identity_seed=0)
        for argument, low in least.items():
            value = getattr(self, argument)
            if value != int(value) or value < low:
                raise ValueError(
                    f'{argument} is {value}, expected an integer >= {low}.')
        if not 0.1 <= self.eye_share <= 0.5:
            raise ValueError(
                f'eye_share is {self.eye_share}, expected a share of the side from 0.1 '
                'to 0.5, so that the face fits the image.')
        if self.first % self.faces_per_identity:
            raise ValueError(
                f'first={self.first} lies between two images of one identity; use a '
                f'multiple of faces_per_identity={self.faces_per_identity}.')

    def __len__(self) -> int:
        return self.length

    def load(self, index: int) -> dict[str, Any]:
        """Renders one face.

        Args:
            index: In [0, length).

        Returns:
            ``img`` uint8 (size, size, 3) RGB, ``landmarks`` float32 (5, 2), ``name``
            such as ``d000012/0003``: identity and image.
        """
        face = sample_face(self.identity_seed, *self._which(index))
        img, landmarks = render_portrait(face, self.size, self.eye_share)
        return dict(img=img, landmarks=landmarks, name=self.sample_name(index))

    def sample_name(self, index: int) -> str:
        """Returns the name of a sample without rendering it."""
        identity, photo = self._which(index)
        return f'd{identity:06d}/{photo:04d}'

    def _which(self, index: int) -> tuple[int, int]:
        """Returns the numbers of the identity and of its image."""
        return divmod(self.first + index, self.faces_per_identity)

    def protocol(self) -> dict[str, Any]:
        """Returns the facts, as plain JSON, that accompany results on this dataset."""
        return dict(
            name=self.name, dataset=type(self).__name__, size=self.size,
            crop=f'rendered with an eye distance of {self.eye_share:g} of the side',
            listed=self.length, kept=self.length, first=self.first,
            faces_per_identity=self.faces_per_identity,
            identity_seed=self.identity_seed)
