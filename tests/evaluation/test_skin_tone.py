"""The typology angle of faces with known colours."""

import math

import cv2
import numpy as np
import pytest

from fdsr.evaluation.skin_tone import SKIN_TONES, skin_tone, typology_angle

LANDMARKS = np.array([[24, 26], [40, 26], [32, 36], [26, 46], [38, 46]], np.float32)


@pytest.mark.parametrize('lab', [(75, 10, 15), (60, 12, 18), (45, 12, 14), (25, 9, 6)])
def test_the_angle_of_the_cheeks_by_the_formula(lab):
    face = cv2.cvtColor(np.full((64, 64, 3), lab, np.float32), cv2.COLOR_LAB2RGB)
    face = (face * 255).round().astype(np.uint8)
    face[:20], face[44:] = (0, 255, 0), (0, 0, 255)  # hair and mouth do not count
    face[:, 30:34] = 255                             # nor does the nose
    expected = math.degrees(math.atan((lab[0] - 50) / lab[2]))
    assert typology_angle(face, LANDMARKS) == pytest.approx(expected, abs=2)


def test_groups_in_order():
    assert [skin_tone(angle) for angle in (90, 41.5, 41, 28, 10, -90)] == [
        'light skin', 'light skin', 'intermediate skin', 'tan skin',
        'brown or dark skin', 'brown or dark skin']
    assert [low for _, low in SKIN_TONES] == sorted(
        (low for _, low in SKIN_TONES), reverse=True)


def test_a_grey_face_has_an_angle():
    assert typology_angle(np.full((64, 64, 3), 200, np.uint8), LANDMARKS) > 80


def test_cheeks_outside_the_image():
    with pytest.raises(ValueError, match='cheeks lie outside'):
        typology_angle(np.zeros((64, 64, 3), np.uint8), LANDMARKS + 200)
