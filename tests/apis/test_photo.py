"""Photographs: faces are put back where they were, and what is not restored is told."""

import numpy as np
import pytest
from PIL import Image

from fdsr.apis import FaceStatus, FaceSuperResolver
from fdsr.apis.blending import paste
from fdsr.apis.images import BadImage
from fdsr.apis.photo import check_scale
from fdsr.apis.super_resolver import SuperResolvedFace
from fdsr.geometry.alignment import cut, five_point_crop, five_point_template
from fdsr.landmarks import FaceLandmarks, FoundFace, LandmarkDetector
from fdsr.registry import LANDMARKS
from tests import toy

LR_SIZE = toy.SIZE // toy.SCALE
FACES = []  # what the detector of these tests finds


@LANDMARKS.register_module()
class PlacedFaces(LandmarkDetector):
    """Finds the faces that a test has placed."""

    def detect_faces(self, image):
        return [face.landmarks for face in FACES if face.landmarks is not None]

    def find_faces(self, image):
        return list(FACES)


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    return toy.trained_student(tmp_path_factory.mktemp('student'))


@pytest.fixture
def resolver(student):
    FACES.clear()
    return FaceSuperResolver(student, photo_landmarks=dict(type='PlacedFaces'))


def smooth_photo(height=120, width=160):
    """Colours that change slowly, so that resampling loses little."""
    y, x = np.mgrid[:height, :width] / 20
    return np.stack([127 + 100 * np.sin(x + k) * np.cos(y - k) for k in range(3)],
                    -1).round().astype(np.uint8)


def face_at(x, y, side, eye_share, angle=0.0):
    """A face whose aligned square has that side and centre."""
    points = five_point_template(side, eye_share) - (side - 1) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = (points @ turn + (x, y)).astype(np.float32)
    return FoundFace((x - side / 4, y - side / 4, x + side / 4, y + side / 4),
                     FaceLandmarks(points))


@pytest.mark.parametrize('angle', [0, 0.4, np.pi])  # also upside-down
@pytest.mark.parametrize('scale', [1, 2, 3])
def test_a_face_pasted_back_lies_where_it_was_cut_out(scale, angle):
    photo = smooth_photo()
    face = face_at(70.3, 60.8, 40, 0.3, angle)
    crop = five_point_crop(face.landmarks.points, (160, 120), 0.3)
    large = np.array(Image.fromarray(photo).resize((160 * scale, 120 * scale), 3))
    # twice as fine as the photograph at that scale: it has to be made smaller
    side = crop.side * scale * 2
    sr = np.array(Image.fromarray(cut(photo, crop)).resize((side, side), 3))
    canvas = np.zeros_like(large)
    paste(canvas, sr, crop, scale)
    inside = np.zeros(large.shape[:2], bool)
    half = int(crop.side * scale * 0.2)
    cx, cy = (np.array([70.3, 60.8]) + 0.5) * scale
    inside[int(cy) - half:int(cy) + half, int(cx) - half:int(cx) + half] = True
    difference = np.abs(canvas.astype(int) - large)[inside]
    assert difference.max() <= 4 and difference.mean() < 1


def test_a_shift_of_half_a_pixel_would_be_seen():
    """The test above can fail: the slopes of the image are steep enough."""
    photo = smooth_photo().astype(float)
    assert np.abs(np.diff(photo, axis=1)).mean() / 2 > 1


def test_a_face_beyond_the_border_is_pasted_as_far_as_it_is_there():
    photo = smooth_photo()
    crop = five_point_crop(face_at(5, 5, 40, 0.3).landmarks.points, (160, 120), 0.3)
    before = photo.copy()
    paste(photo, np.zeros((80, 80, 3), np.uint8), crop)
    assert (photo[5, 5] == 0).all()
    assert np.array_equal(photo[60:, 60:], before[60:, 60:])


def test_all_faces_go_through_the_network_in_one_batch(resolver):
    share, calls = resolver.geometry.eye_share, []
    FACES.extend(face_at(x, 60, LR_SIZE + 2, share) for x in (30, 80, 130))
    resolver.network.register_forward_pre_hook(
        lambda module, given: calls.append(len(given[0])))
    photo = smooth_photo()
    result = resolver.restore_photo(photo, scale=3)
    assert calls == [3]
    assert result.image.shape == (360, 480, 3) and result.num_restored == 3
    assert result.summary() == '3 of 3 faces restored.'
    for face in result.faces:
        assert face.lr.shape == (LR_SIZE, LR_SIZE, 3)
        assert np.abs(face.sr.astype(int) - resolver(face.lr)).max() <= 1
    # what is no face is the photograph, up-sampled
    plain = np.array(Image.fromarray(photo).resize((480, 360), Image.BICUBIC))
    assert np.array_equal(result.image[:60], plain[:60])
    assert not np.array_equal(result.image, plain)


def test_what_is_not_restored_is_told_and_left_alone(resolver):
    share = resolver.geometry.eye_share
    FACES.extend([
        face_at(80, 60, 3 * LR_SIZE, share), FoundFace((100, 80, 110, 90), None),
        face_at(-60, 60, LR_SIZE, share), face_at(0, 0, LR_SIZE, share)])
    photo = smooth_photo()
    result = resolver.restore_photo(photo, scale=1)
    status = [face.status for face in result.faces]
    assert status == [FaceStatus.LARGE_ENOUGH, FaceStatus.NO_LANDMARKS,
                      FaceStatus.CUT_OFF, FaceStatus.CUT_OFF]
    assert np.array_equal(result.image, photo)
    for face in result.faces:
        assert face.sr is None and face.lr is None and face.message.endswith('.')
    assert '1 large enough' in result.summary()
    assert '2 cut off' in result.summary()


def test_a_face_too_small_is_told(resolver, monkeypatch):
    monkeypatch.setattr('fdsr.apis.photo.SMALLEST_FACE', 2.0)
    FACES.append(face_at(80, 60, LR_SIZE, resolver.geometry.eye_share))
    photo = smooth_photo()
    result = resolver.restore_photo(photo, scale=1)
    assert result.faces[0].status is FaceStatus.TOO_SMALL
    assert np.array_equal(result.image, photo)
    assert 'at least' in result.faces[0].message


def test_large_faces_on_request(resolver):
    FACES.append(face_at(80, 60, 3 * LR_SIZE, resolver.geometry.eye_share))
    result = resolver.restore_photo(smooth_photo(), scale=1, large_faces=True)
    assert result.num_restored == 1


def test_the_largest_face_in_pixels(resolver):
    side = 3 * LR_SIZE
    FACES.append(face_at(80, 60, side, resolver.geometry.eye_share))
    for large_faces in (False, True):  # max_face replaces either limit
        for max_face, restored in ((side + 1, 1), (side - 1, 0)):
            result = resolver.restore_photo(
                smooth_photo(), scale=1, large_faces=large_faces, max_face=max_face)
            assert result.num_restored == restored
    for max_face in (0, -1, float('nan')):
        with pytest.raises(ValueError, match='positive max_face'):
            resolver.restore(smooth_photo(), 'photo', max_face=max_face)


@pytest.mark.parametrize('scale', [1, 3])
def test_the_mask_is_the_weight_of_the_faces(resolver, monkeypatch, scale):
    """White faces in a black photograph: the mask is the result."""
    def white(faces, boxes=None):
        side = resolver.geometry.size
        return [SuperResolvedFace(np.full((side, side, 3), 255, np.uint8))
                for _ in faces]
    monkeypatch.setattr(resolver, 'super_resolve', white)
    monkeypatch.setattr('fdsr.apis.blending.match_colour', lambda sr, lr: sr)
    share = resolver.geometry.eye_share
    FACES.extend([  # two overlap, one reaches over the border, one is left out
        face_at(60, 60, LR_SIZE, share, 0.5), face_at(64, 62, 1.4 * LR_SIZE, share),
        face_at(158, 30, LR_SIZE, share), face_at(120, 90, 3 * LR_SIZE, share)])
    photo = np.zeros((120, 160, 3), np.uint8)
    for strength in (1.0, 0.6, 0.0):
        result = resolver.restore_photo(photo, scale=scale, strength=strength)
        assert result.num_restored == 3
        mask = result.mask()
        assert mask.dtype == np.float32 and mask.shape == result.image.shape[:2]
        assert np.abs(result.image[..., 0] - 255 * mask).max() < 1.01  # two roundings
        assert mask[90 * scale, 120 * scale] == 0
    assert mask.max() == 0
    FACES.clear()
    assert resolver.restore_photo(photo, scale=scale).mask().max() == 0
    face = resolver.restore(photo[:32, :32], 'face', strength=0.3)
    assert face.mask().shape == face.image.shape[:2]
    assert (face.mask() == np.float32(0.3)).all()


def test_no_face(resolver):
    photo = smooth_photo()
    result = resolver.restore_photo(photo, scale=1)
    assert np.array_equal(result.image, photo) and result.faces == []
    assert result.summary().startswith('No face was found')


def test_order_and_kind_of_photographs(resolver, tmp_path):
    FACES.append(face_at(80, 60, LR_SIZE, resolver.geometry.eye_share))
    photo = smooth_photo()
    Image.fromarray(photo).save(tmp_path / 'photo.png')
    wanted = resolver.restore_photo(photo)
    for same in (Image.fromarray(photo), str(tmp_path / 'photo.png'),
                 tmp_path / 'photo.png'):
        assert np.array_equal(resolver.restore_photo(same).image, wanted.image)
    bgr = resolver.restore_photo(
        np.ascontiguousarray(photo[..., ::-1]), channel_order='bgr')
    assert np.array_equal(bgr.image[..., ::-1], wanted.image)
    assert np.array_equal(bgr.faces[0].sr[..., ::-1], wanted.faces[0].sr)
    assert np.array_equal(bgr.faces[0].lr[..., ::-1], wanted.faces[0].lr)
    with pytest.raises(TypeError, match='one photograph or face'):
        resolver.restore_photo([photo, photo])
    with pytest.raises(ValueError, match='channel_order'):
        resolver.restore_photo(photo, channel_order='gbr')


def test_the_teacher_takes_the_landmarks_of_the_photograph(tmp_path):
    FACES.clear()
    teacher = FaceSuperResolver(
        toy.trained_teacher(tmp_path), photo_landmarks=dict(type='PlacedFaces'))
    given = []
    teacher.network.network.register_forward_pre_hook(
        lambda module, args: given.append(args[1]))
    share, size = teacher.geometry.eye_share, teacher.geometry.size
    FACES.append(face_at(80, 60, teacher.geometry.lr_size, share, angle=0.3))
    result = teacher.restore_photo(smooth_photo())
    assert result.num_restored == 1
    # upright in its square: the boxes of the template, wherever the face was
    template = teacher.network.template()
    assert np.abs(given[0][0].numpy() - template).max() < 0.02 * size


def test_scales_and_sizes_that_cannot_be():
    for scale in (0, 9, 1.5):
        with pytest.raises(ValueError, match='1 to 8'):
            check_scale(scale, (10, 10))
    assert check_scale(1, (10000, 10000)) == 1
    with pytest.raises(BadImage, match='smaller scale'):
        check_scale(2, (10000, 10000))


def test_a_photograph_of_a_hundred_megapixels(resolver):
    FACES.append(face_at(7000, 5000, LR_SIZE, resolver.geometry.eye_share))
    photo = np.full((10000, 10000, 3), 120, np.uint8)
    photo[::500] = 90
    result = resolver.restore_photo(photo, scale=1)
    assert result.num_restored == 1 and result.image.shape == photo.shape
    changed = np.argwhere((result.image != photo).any(-1))
    assert len(changed) and (np.abs(changed - (5000, 7000)) <= LR_SIZE).all()


def test_a_config_of_a_network_without_weights():
    resolver = FaceSuperResolver('configs/bicubic_vggface2.py')
    assert resolver.geometry.size == 256 and resolver.geometry.lr_size == 32
    face = smooth_photo(32, 32)
    wanted = np.array(Image.fromarray(face).resize((256, 256), Image.BICUBIC))
    assert np.array_equal(resolver(face), wanted)
    with pytest.raises(ValueError, match='has no weights'):
        FaceSuperResolver('configs/rcan_vggface2.py')
    with pytest.raises(FileNotFoundError, match='no config'):
        FaceSuperResolver('configs/no_such.py')


def test_a_config_that_names_its_weights(student, tmp_path):
    config = tmp_path / 'served.py'
    config.write_text(f'load_from = {str(student)!r}\n')
    face = smooth_photo(LR_SIZE, LR_SIZE)
    assert np.array_equal(
        FaceSuperResolver(config)(face), FaceSuperResolver(student)(face))
