"""Faces that the project draws itself: no download, exact landmarks."""

from __future__ import annotations

import os
from typing import Any, Callable, Sequence

from fdsr.datasets.base import FaceDataset
from fdsr.registry import DATASETS
from fdsr.synthetic.portrait import render_portrait
from fdsr.synthetic.sampling import sample_face


@DATASETS.register_module()
class SyntheticFacesDataset(FaceDataset):
    """Procedurally drawn faces, made when asked for.

    Item ``index`` is image ``first + index`` of an endless, fixed population: it
    depends on that number, ``identity_seed``, ``faces_per_identity``, ``size`` and
    ``eye_share``, and on nothing else. People differ in skin, eyes, brows, nose,
    mouth, hair, beard and glasses; their images in pose, expression, gaze, light,
    clothes and background.

    So that training and test draw different people, give the test set a ``first`` of
    at least the training set's ``first + length``; both must use the same
    ``faces_per_identity``.

    Items are those of :class:`FaceDataset`. The landmarks are the drawn positions
    of pupils, nose tip and mouth corners after all warps, exact to float rounding.

    Args:
        length: Number of images.
        size: Side of HR in pixels; best a multiple of 64, up to 512.
        eye_share: Distance of the eyes of a face that looks straight ahead, as a
            share of the side; single images differ by a few percent, and more
            when the head is turned.
        first: Number of the first image.
        faces_per_identity: Images of each person, one after the other.
        identity_seed: Seed of the population.
        pipeline: See :class:`FaceDataset`, as the following ones.
        seed: Seed of the transforms, not of the faces.
        test_mode: Transforms draw the same in every epoch.
        max_bad_share: No drawn face is bad, but a transform may refuse one.
        report_dir: Folder for the list of skipped samples.
        name: Name in reports and protocols; default ``synthetic_faces_<first>``.

    Raises:
        ValueError: An argument is impossible, or ``first`` lies between two images
            of one person, who would then be in two sets.
    """

    def __init__(
        self,
        length: int,
        size: int = 256,
        eye_share: float = 0.3125,
        first: int = 0,
        faces_per_identity: int = 1,
        identity_seed: int = 0,
        pipeline: Sequence[dict | Callable] = (),
        seed: int = 0,
        test_mode: bool = False,
        max_bad_share: float = 0.01,
        report_dir: str | os.PathLike | None = None,
        name: str | None = None,
    ) -> None:
        self.length, self.first = length, first
        self.size, self.eye_share = size, eye_share
        self.faces_per_identity = faces_per_identity
        self.identity_seed = identity_seed
        self._check_arguments()
        super().__init__(
            pipeline,
            seed,
            test_mode,
            max_bad_share,
            report_dir,
            name or f'synthetic_faces_{first}',
        )

    def _check_arguments(self) -> None:
        least = dict(length=1, size=16, first=0, faces_per_identity=1, identity_seed=0)
        for argument, low in least.items():
            value = getattr(self, argument)
            if value != int(value) or value < low:
                raise ValueError(
                    f'{argument} is {value}, expected an integer >= {low}.'
                )
        if not 0.1 <= self.eye_share <= 0.5:
            raise ValueError(
                f'eye_share is {self.eye_share}, expected a share of the side '
                'between 0.1 and 0.5: beyond, the face does not fit the image.'
            )
        if self.first % self.faces_per_identity:
            raise ValueError(
                f'first={self.first} lies between two images of one person; take a '
                f'multiple of faces_per_identity={self.faces_per_identity}.'
            )

    def __len__(self) -> int:
        return self.length

    def load(self, index: int) -> dict[str, Any]:
        """Draw one face.

        Args:
            index: In [0, length).

        Returns:
            ``img`` uint8 (size, size, 3) RGB, ``landmarks`` float32 (5, 2), ``name``
            such as ``d000012/0003``: the person and the person's image.
        """
        face = sample_face(self.identity_seed, *self._which(index))
        img, landmarks = render_portrait(face, self.size, self.eye_share)
        return dict(img=img, landmarks=landmarks, name=self.sample_name(index))

    def sample_name(self, index: int) -> str:
        """The name of a sample, without drawing it."""
        identity, photo = self._which(index)
        return f'd{identity:06d}/{photo:04d}'

    def _which(self, index: int) -> tuple[int, int]:
        """The person's number, and that of the person's image."""
        return divmod(self.first + index, self.faces_per_identity)

    def protocol(self) -> dict[str, Any]:
        """Facts, as plain JSON, that a number measured on this set comes with."""
        return dict(
            name=self.name,
            dataset=type(self).__name__,
            size=self.size,
            crop=f'drawn with the eyes {self.eye_share:g} of the side apart',
            listed=self.length,
            kept=self.length,
            first=self.first,
            faces_per_identity=self.faces_per_identity,
            identity_seed=self.identity_seed,
        )
