"""Classification of images as aligned faces or photographs."""

import numpy as np
import pytest
from PIL import Image

from fdsr.apis import FaceSuperResolver
from fdsr.apis.images import BadImage
from fdsr.apis.kinds import choose_kind
from fdsr.apis.networks import FaceGeometry
from fdsr.geometry.alignment import five_point_template
from fdsr.landmarks import FaceLandmarks, FoundFace, LandmarkDetector
from fdsr.models.files.checkpoints import save_backbone
from fdsr.registry import LANDMARKS, MODELS
from tests import toy

GEOMETRY = FaceGeometry(size=256, scale=8, eye_share=0.25)


def blank(height, width=None):
    return np.full((height, width or height, 3), 90, np.uint8)


def landmarks(side, zoom=1.0, shift=(0, 0), roll=0.0, share=GEOMETRY.eye_share):
    """The template's points, moved."""
    centre = (side - 1) / 2
    points = (five_point_template(side, share) - centre) * zoom
    turn = np.radians(roll)
    points = points @ np.array([[np.cos(turn), np.sin(turn)],
                                [-np.sin(turn), np.cos(turn)]])
    eyes = five_point_template(side, share)[:2].mean(0)
    points += eyes - points[:2].mean(0) + np.asarray(shift) * side
    return FaceLandmarks(points.astype(np.float32))


def finds(*faces):
    """A detector that finds the same face in every image."""
    return lambda image: next(iter(faces), None)


def must_not_look(image):
    raise AssertionError('the detector was called')


def not_available(image):
    raise ImportError('No face detector is available.')


@pytest.mark.parametrize('shape, kind', [
    ((20, 20), 'face'), ((48, 48), 'face'),  # up to 1.5 sides of LR
    ((48, 49), 'photo'), ((200, 150), 'photo'), ((513, 513), 'photo'),
    ((3000, 3000), 'photo')])
def test_size_and_shape_decide_without_a_detector(shape, kind):
    assert choose_kind(blank(*shape), GEOMETRY, must_not_look) == kind


@pytest.mark.parametrize('side', [97, 256, 512])
@pytest.mark.parametrize('change, kind', [
    (dict(), 'face'), (dict(zoom=1.3), 'face'), (dict(zoom=0.77), 'face'),
    (dict(zoom=1.4), 'photo'), (dict(zoom=0.7), 'photo'),
    (dict(shift=(0.03, 0)), 'face'), (dict(shift=(0, -0.03)), 'face'),
    (dict(shift=(0.03, 0.03)), 'photo'), (dict(shift=(0, 0.05)), 'photo'),
    (dict(roll=11), 'face'), (dict(roll=-11), 'face'), (dict(roll=13), 'photo'),
    (dict(roll=180), 'photo')])
def test_the_face_has_to_match_the_template(side, change, kind):
    assert choose_kind(blank(side), GEOMETRY, finds(landmarks(side, **change))) == kind


@pytest.mark.parametrize('change, kind', [
    (dict(zoom=1.5), 'face'), (dict(zoom=0.65), 'face'), (dict(zoom=0.6), 'photo'),
    (dict(shift=(0.1, -0.1)), 'face'), (dict(shift=(0.16, 0)), 'photo'),
    (dict(roll=18), 'face'), (dict(roll=25), 'photo')])
@pytest.mark.parametrize('side', [49, 96])
def test_in_a_small_image_it_is_enough_that_the_face_fills_it(side, change, kind):
    assert choose_kind(blank(side), GEOMETRY, finds(landmarks(side, **change))) == kind


def test_a_small_square_image_without_a_face_is_a_photograph():
    assert choose_kind(blank(256), GEOMETRY, finds()) == 'photo'


def test_without_a_detector_a_small_square_image_is_a_face():
    for side, kind in ((49, 'face'), (512, 'face'), (513, 'photo')):
        assert choose_kind(blank(side), GEOMETRY, not_available) == kind
    assert choose_kind(blank(200, 201), GEOMETRY, not_available) == 'photo'


# The rule at work.

@LANDMARKS.register_module()
class OnTemplate(LandmarkDetector):
    """Finds an aligned face in bright images, and nothing in photographs."""

    def detect_faces(self, image):
        side = len(image)
        return [landmarks(side, share=0.3)] if image.mean() > 100 else []

    def find_faces(self, image):
        return [FoundFace((0, 0, 9, 9), None)]


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    return toy.trained_student(tmp_path_factory.mktemp('student'))


@pytest.fixture
def resolver(student):
    detector = dict(type='OnTemplate')
    return FaceSuperResolver(student, 'cpu', landmarks=detector,
                             photo_landmarks=detector)


def noise(height, width=None, low=120):
    return np.random.default_rng(0).integers(low, 256, (height, width or height, 3),
                                             'u1')


def test_a_face_is_restored_as_by_calling_the_resolver(resolver, tmp_path):
    side = 2 * resolver.geometry.lr_size
    face = noise(side)
    result = resolver.restore(face)
    assert result.kind == 'face' and np.array_equal(result.image, resolver(face))
    assert result.num_restored == 1 and result.summary().startswith('The aligned face')
    assert result.faces[0].side == side
    assert np.array_equal(result.faces[0].sr, result.image)
    Image.fromarray(face).save(tmp_path / 'face.png')
    assert np.array_equal(resolver.restore(tmp_path / 'face.png').image, result.image)
    bgr = resolver.restore(np.ascontiguousarray(face[..., ::-1]), channel_order='bgr')
    assert np.array_equal(bgr.image[..., ::-1], result.image)
    assert np.array_equal(bgr.faces[0].lr[..., ::-1], result.faces[0].lr)


def test_the_strength_of_a_face(resolver):
    face = noise(resolver.geometry.lr_size)
    upsampled = np.array(Image.fromarray(face).resize(
        (toy.SIZE, toy.SIZE), Image.BICUBIC)).astype(int)
    none, half, full = (resolver.restore(face, strength=strength).image.astype(int)
                        for strength in (0, 0.5, 1))
    assert np.array_equal(none, upsampled) and not np.array_equal(full, upsampled)
    assert np.abs(half - (none + full) / 2).max() <= 0.5
    for strength in (-0.1, 1.1, float('nan')):
        for kind in ('face', 'photo'):
            with pytest.raises(ValueError, match='strength from 0 to 1'):
                resolver.restore(face, kind, strength=strength)


def test_the_strength_of_a_network_whose_scale_does_not_divide_its_size(tmp_path):
    network = dict(type='fdsr.SPAN', scale=3, channels=8, blocks=1)
    save_backbone(MODELS.build(network), network, tmp_path / 'x3.safetensors')
    resolver = FaceSuperResolver(tmp_path / 'x3.safetensors')
    result = resolver.restore(noise(resolver.geometry.lr_size), 'face', strength=0.5)
    assert result.image.shape == (255, 255, 3)


def test_a_photograph_and_the_overrides(resolver):
    dark = noise(3 * resolver.geometry.lr_size, low=0) // 4
    result = resolver.restore(dark, scale=3)
    assert result.kind == 'photo' and result.image.shape == (72, 72, 3)
    assert result.faces[0].status.value == 'no landmarks'
    assert resolver.restore(dark, 'face').kind == 'face'
    small = noise(resolver.geometry.lr_size)
    assert resolver.restore(small).kind == 'face'
    assert resolver.restore(small, kind='photo').kind == 'photo'
    with pytest.raises(BadImage, match="square.*kind='photo', --whole-photo"):
        resolver.restore(noise(20, 30), kind='face')
    with pytest.raises(ValueError, match="'auto', 'face', 'photo'.*'whole'"):
        resolver.restore(small, kind='whole')
    with pytest.raises(TypeError, match='Expected one photograph or face'):
        resolver.restore([small, small])


def test_without_a_detector_the_error_names_the_override(student, monkeypatch):
    def none():
        raise ImportError('No face detector is available.')

    for name in ('default_detector', 'default_photo_detector'):
        monkeypatch.setattr(f'fdsr.apis.super_resolver.{name}', none)
    resolver = FaceSuperResolver(student, 'cpu')
    assert resolver.restore(noise(2 * toy.SIZE)).kind == 'face'
    for image in (noise(20, 30), noise(2 * toy.SIZE + 1)):
        with pytest.raises(ImportError, match="No face detector.*kind='face'.*--align"):
            resolver.restore(image)


def test_bundled_weights_with_mediapipe():
    """A portrait is a photograph, and its aligned crop a face."""
    pytest.importorskip('mediapipe')
    from fdsr.geometry.alignment import cut, five_point_crop, resize
    from fdsr.landmarks import default_detector
    photo = pytest.importorskip('skimage.data').astronaut()
    resolver = FaceSuperResolver(device='cpu')
    assert resolver.kind_of(photo) == 'photo'
    [found] = LANDMARKS.build(default_detector()).detect([photo])
    crop = five_point_crop(found.points, photo.shape[1::-1],
                           resolver.geometry.eye_share)
    for side in (64, 160):
        face = resize(cut(photo, crop), side)
        assert resolver.kind_of(face) == 'face'
        assert resolver.kind_of(np.pad(face, ((side // 2,) * 2,) * 2 + ((0, 0),),
                                       'edge')) == 'photo'
