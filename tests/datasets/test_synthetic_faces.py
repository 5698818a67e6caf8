"""Drawn faces: the same everywhere, all different, and exact landmarks."""

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fdsr.datasets import synthetic_faces
from fdsr.datasets.synthetic_faces import SyntheticFacesDataset
from fdsr.registry import DATASETS
from fdsr.synthetic.eyes import lids, pupil
from fdsr.synthetic.hair import STYLES
from fdsr.synthetic.mouth import mouth_corners
from fdsr.synthetic.portrait import face_view, render_portrait
from fdsr.synthetic.sampling import sample_face
from fdsr.synthetic.traits import Face
from tests import warm

EYE_SHARE = 0.3125
MARKERS = ((255, 0, 255), (0, 255, 0))


@pytest.fixture(autouse=True)
def rendered_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests get stored images."""
    monkeypatch.setattr(synthetic_faces, 'render_portrait', render_portrait)


def digest(dataset: SyntheticFacesDataset) -> str:
    total = hashlib.sha256()
    for item in (dataset[i] for i in range(len(dataset))):
        total.update(item['img'].tobytes() + item['landmarks'].tobytes())
        total.update(item['name'].encode())
    return total.hexdigest()


def with_traits(face: Face, **changes) -> Face:
    return replace(face, person=replace(face.person, **changes))


def test_built_by_name_with_the_keys_of_every_dataset():
    dataset = DATASETS.build(
        dict(type='fdsr.SyntheticFacesDataset', length=64, pipeline=[])
    )
    assert len(dataset) == 64
    item = dataset[5]
    assert set(item) == {'img', 'landmarks', 'name'}
    assert item['img'].dtype == np.uint8 and item['img'].shape == (256, 256, 3)
    assert item['landmarks'].dtype == np.float32
    assert item['landmarks'].shape == (5, 2)
    assert item['name'] == 'd000005/0000'
    json.dumps(dataset.protocol())


def test_calls_do_not_depend_on_what_was_drawn_before_nor_on_the_global_state():
    dataset = SyntheticFacesDataset(length=8, size=64)
    np.random.seed(1)
    first = dataset[3]
    np.random.seed(2)
    state = np.random.get_state()[1].copy()
    dataset[7], dataset[0]
    again = dataset[3]
    np.testing.assert_array_equal(first['img'], again['img'])
    np.testing.assert_array_equal(first['landmarks'], again['landmarks'])
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_another_process_draws_the_same():
    arguments = dict(length=4, size=64, first=20)
    code = (
        'from tests.datasets.test_synthetic_faces import *\n'
        f'print(digest(SyntheticFacesDataset(**{arguments})))'
    )
    output = subprocess.run(
        [warm.python(), '-c', code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.split()[-1] == digest(SyntheticFacesDataset(**arguments))


def test_faces_and_names_differ_and_parts_are_disjoint():
    train = SyntheticFacesDataset(length=24, size=64)
    test = SyntheticFacesDataset(length=8, size=64, first=24)
    items = [train[i] for i in range(24)] + [test[i] for i in range(8)]
    assert len({item['name'] for item in items}) == 32
    pictures = np.stack([item['img'] for item in items]).astype(float)
    difference = np.abs(pictures[:, None] - pictures[None]).mean(axis=(2, 3, 4))
    assert difference[~np.eye(32, dtype=bool)].min() > 5
    shifted = SyntheticFacesDataset(length=1, size=64, first=7)[0]
    np.testing.assert_array_equal(shifted['img'], items[7]['img'])
    assert shifted['name'] == items[7]['name']


def test_another_identity_seed_is_another_population_and_seed_is_not():
    base = SyntheticFacesDataset(length=2, size=64)
    assert digest(base) == digest(SyntheticFacesDataset(length=2, size=64, seed=5))
    other = SyntheticFacesDataset(length=2, size=64, identity_seed=5)
    assert digest(base) != digest(other)


def test_pictures_of_one_identity_show_the_same_person_otherwise():
    dataset = SyntheticFacesDataset(length=4, size=64, faces_per_identity=2)
    names = [dataset[i]['name'] for i in range(4)]
    assert names == ['d000000/0000', 'd000000/0001', 'd000001/0000', 'd000001/0001']
    first, second, other = (sample_face(0, *who) for who in ((0, 0), (0, 1), (1, 0)))
    assert first.person == second.person != other.person
    assert first.photo != second.photo


def test_every_hair_style_and_extra_is_drawn():
    people = [sample_face(0, i).person for i in range(300)]
    assert {person.hair.style for person in people} == set(STYLES)
    assert {person.extras.glasses for person in people} >= {'round', 'square', 'cat'}
    beards = {person.extras.beard for person in people}
    assert beards == {None, 'stubble', 'full', 'goatee', 'moustache'}


@pytest.mark.parametrize('size', [64, 128, 256])
def test_a_face_is_the_same_at_every_size(size):
    large = SyntheticFacesDataset(length=6, size=256)
    small = SyntheticFacesDataset(length=6, size=size)
    for i in range(6):
        big, item = large[i], small[i]
        assert item['img'].shape == (size, size, 3)
        np.testing.assert_allclose(
            (item['landmarks'] + 0.5) / size, (big['landmarks'] + 0.5) / 256, atol=1e-5
        )
        shrunk = cv2.resize(big['img'], (size, size), interpolation=cv2.INTER_AREA)
        assert psnr(shrunk, item['img']) > 26


def test_order_and_place_of_the_landmarks():
    dataset = SyntheticFacesDataset(length=40, size=128)
    points = np.stack([dataset[i]['landmarks'] for i in range(40)])
    left_eye, right_eye, nose, left_mouth, right_mouth = np.moveaxis(points, 1, 0)
    assert (left_eye[:, 0] < right_eye[:, 0] - 30).all()
    assert (left_mouth[:, 0] < right_mouth[:, 0] - 15).all()
    assert (nose[:, 1] > left_eye[:, 1] + 15).all()
    assert (left_mouth[:, 1] > nose[:, 1] + 5).all()
    assert points.min() > 0 and points.max() < 127
    distance = np.linalg.norm(right_eye - left_eye, axis=1) / 128
    assert abs(distance.mean() - EYE_SHARE) < 0.012
    assert distance.min() > 0.9 * EYE_SHARE and distance.max() < 1.05 * EYE_SHARE


def test_eye_share_sets_the_scale():
    wide = SyntheticFacesDataset(length=5, size=128, eye_share=0.3125)
    far = SyntheticFacesDataset(length=5, size=128, eye_share=0.243)
    for i in range(5):
        eyes = [d[i]['landmarks'][1] - d[i]['landmarks'][0] for d in (wide, far)]
        ratio = np.linalg.norm(eyes[1]) / np.linalg.norm(eyes[0])
        assert ratio == pytest.approx(0.243 / 0.3125, rel=1e-3)


def test_pupils_are_found_where_the_landmarks_say():
    """A dark disc is searched in the picture alone, in eyes of a light colour."""
    found = 0
    for i in range(120):
        face = sample_face(0, i)
        if sum(face.person.eyes.iris) < 240 or not eyes_are_open(face):
            continue
        img, landmarks = render_portrait(face, 256, EYE_SHARE)
        for point in landmarks[:2]:
            assert np.linalg.norm(dark_disc_near(img, point) - point) < 1.5, i
            found += 1
    assert found >= 20


def test_irises_are_centred_on_the_landmarks_for_everybody():
    """What changes in the picture with the iris' colour is measured."""
    found = 0
    for i in range(40):
        face = sample_face(0, i)
        if not eyes_are_open(face):
            continue
        # Small enough to lie between the lids as a whole.
        base = replace(face.person.eyes, iris_radius=0.06, pupil_radius=0.01)
        faces = [
            with_traits(face, eyes=replace(base, iris=colour, inner_iris=colour))
            for colour in MARKERS
        ]
        mask, landmarks = changed(*faces)
        for point in landmarks[:2]:
            rows, columns = np.nonzero(window(mask, point, 12))
            centre = np.array([columns.mean(), rows.mean()]) + np.rint(point) - 12
            assert np.linalg.norm(centre - point) < 1.0, i
            found += 1
    assert found >= 20


def test_mouth_corners_are_where_the_lips_end():
    """What changes in the picture with the lips' colour is measured."""
    for i in range(40):
        face = sample_face(0, i)
        faces = [
            with_traits(face, mouth=replace(face.person.mouth, colour=colour))
            for colour in MARKERS
        ]
        mask, landmarks = changed(*faces)
        rows, columns = np.nonzero(mask)
        for point, k in zip(landmarks[3:], (columns.argmin(), columns.argmax())):
            assert np.linalg.norm(point - (columns[k], rows[k])) < 1.5, i


def test_the_nose_tip_carries_its_highlight():
    """The brightest spot around the tip is the tip; the skin's grain moves it a bit."""
    offsets = []
    for i in range(40):
        img, landmarks = render_portrait(sample_face(0, i), 256, EYE_SHARE)
        grey = img.sum(axis=2, dtype=float)
        spot = cv2.GaussianBlur(grey, (0, 0), 2) - cv2.GaussianBlur(grey, (0, 0), 6)
        patch = window(spot, landmarks[2], 8)
        row, column = np.unravel_index(patch.argmax(), patch.shape)
        offsets.append(np.rint(landmarks[2]) + (column - 8, row - 8) - landmarks[2])
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.6
    assert np.linalg.norm(offsets, axis=1).max() < 2


def test_the_view_projects_the_landmarks():
    """The same points by the formulas of a rotation written out."""
    face = sample_face(0, 11)
    view = face_view(face, EYE_SHARE)
    yaw, pitch, roll = face.photo.angles
    points = np.array([pupil(face, -1), pupil(face, 1)])
    turned = []
    for x, y, z in points:
        x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
        y = y * np.cos(pitch) + z * np.sin(pitch)
        turned.append(
            (
                x * np.cos(roll) - y * np.sin(roll),
                x * np.sin(roll) + y * np.cos(roll),
            )
        )
    expected = np.diff(turned, axis=0) * EYE_SHARE * face.photo.zoom
    np.testing.assert_allclose(np.diff(view(points), axis=0), expected, atol=1e-12)
    assert mouth_corners(face)[0, 0] < mouth_corners(face)[1, 0]


@pytest.mark.parametrize('size, low, high', [(128, 20, 25), (256, 22, 27)])
def test_bicubic_loses_what_a_network_has_to_restore(size, low, high):
    """PSNR (RGB, no border) of PIL bicubic down by 8 and up again."""
    dataset = SyntheticFacesDataset(length=20, size=size)
    values = []
    for i in range(20):
        img = dataset[i]['img']
        small = Image.fromarray(img).resize((size // 8, size // 8), Image.BICUBIC)
        values.append(psnr(img, np.asarray(small.resize((size, size), Image.BICUBIC))))
    assert low < np.mean(values) < high
    assert min(values) > 16 and max(values) < 30


def test_the_pipeline_runs():
    dataset = SyntheticFacesDataset(
        length=2, size=64, pipeline=[lambda item: dict(item, seen=True)]
    )
    assert dataset[1]['seen']


@pytest.mark.parametrize(
    'arguments, words',
    [
        (dict(length=0), 'length is 0'),
        (dict(length=4, size=8), 'size is 8'),
        (dict(length=4, first=-1), 'first is -1'),
        (dict(length=4, eye_share=0.9), 'eye_share is 0.9'),
        (dict(length=4, first=3, faces_per_identity=2), 'multiple of'),
        (dict(length=4, identity_seed=-2), 'identity_seed is -2'),
    ],
)
def test_impossible_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        SyntheticFacesDataset(**arguments)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    error = np.mean((first.astype(float) - second.astype(float)) ** 2)
    return float('inf') if error == 0 else 10 * np.log10(255**2 / error)


def window(array: np.ndarray, point: np.ndarray, half: int) -> np.ndarray:
    x, y = np.rint(point).astype(int)
    return array[y - half : y + half + 1, x - half : x + half + 1]


def changed(first: Face, second: Face) -> tuple[np.ndarray, np.ndarray]:
    """Where two drawings differ clearly, bool (256, 256), and the landmarks."""
    (one, landmarks), (other, _) = (
        render_portrait(face, 256, EYE_SHARE) for face in (first, second)
    )
    difference = np.abs(one.astype(float) - other).sum(axis=2)
    return difference > 0.1 * difference.max(), landmarks


def eyes_are_open(face: Face) -> bool:
    """Whether no lid and no rim of glasses comes near the pupils."""
    for side in (-1, 1):
        upper, lower = lids(face, side)
        x, y, _ = pupil(face, side)
        order = np.argsort(upper[:, 0])
        top, low = (
            np.interp(x, lid[order, 0], lid[order, 1]) for lid in (upper, lower)
        )
        if y - top < 0.08 or low - y < 0.07:
            return False
    return face.person.extras.glasses is None


def dark_disc_near(img: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Where a dark disc in a lighter ring fits best, up to 7 px from ``point``."""
    grey = cv2.cvtColor(img, cv2.COLOR_RGB2GRAY)
    y, x = np.mgrid[-7:8, -7:8]
    disc = np.where(np.hypot(x, y) < 4, 0, 255).astype(np.uint8)
    patch = window(grey, point, 14)
    score = cv2.matchTemplate(patch, disc, cv2.TM_CCOEFF_NORMED)
    row, column = np.unravel_index(score.argmax(), score.shape)
    return np.rint(point) + (column - 7, row - 7)
