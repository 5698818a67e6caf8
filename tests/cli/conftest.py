"""Helpers of the tests of the command fdsr."""

import csv

import cv2
import numpy as np
import pytest
from PIL import Image

from fdsr.cli.infer import main
from fdsr.landmarks import FaceLandmarks, LandmarkDetector
from fdsr.registry import LANDMARKS
from tests import toy

LR_SIZE = toy.SIZE // toy.SCALE


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    return toy.trained_student(tmp_path_factory.mktemp('student'))


@LANDMARKS.register_module()
class BrightFaces(LandmarkDetector):
    """A face in the middle of each image that is not black."""

    def detect_faces(self, image):
        if image.mean() < 10:
            return []
        from fdsr.geometry.alignment import five_point_template
        side = LR_SIZE * 1.2
        centre = (np.array(image.shape[1::-1]) - 1) / 2
        points = five_point_template(side, 0.3) - (side - 1) / 2 + centre
        return [FaceLandmarks(points.astype(np.float32))]


@pytest.fixture
def placed(monkeypatch):
    monkeypatch.setattr('fdsr.apis.super_resolver.default_photo_detector',
                        lambda: dict(type='BrightFaces'))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(60, 256, shape, 'u1')


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def rows(out):
    with (out / 'results.csv').open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def run(student, out, *arguments):
    return main([*map(str, arguments), '--weights', str(student), '--out', str(out)])


def write_video(path, frames, size):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 12, size)
    for number in range(frames):
        frame = np.full((size[1], size[0], 3), 40 + 10 * number, np.uint8)
        writer.write(frame)
    writer.release()
