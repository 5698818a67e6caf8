"""68 points by a stand-in network; the real weights were never at hand."""

import hashlib
import pickle

import numpy as np
import pytest
import torch

from fdsr.geometry.components import boxes_from_68_points, five_points_from_68
from fdsr.landmarks import FaceAlignmentLandmarks, FaceLandmarks68
from fdsr.landmarks.face_alignment import FACE_FINDER, NETWORK, peaks, shown_square
from fdsr.registry import LANDMARKS

# Where 68 dots lie in a face's box, as shares of its sides.
DOTS = np.stack([np.tile(np.linspace(0.1, 0.9, 17), 4),
                 np.repeat(np.linspace(0.2, 0.9, 4), 17)], axis=-1)


class DotNetwork:
    """Draws each heat map's bell where the dot of its own red value lies."""

    def __call__(self, batch):
        assert batch.shape == (1, 3, 256, 256) and 0 <= batch.min() <= batch.max() <= 1
        red, green = batch[0, 0] * 255, batch[0, 1]
        number = torch.arange(68).view(68, 1, 1) * 3 + 20
        shine = ((red - number).abs() < 1.5) * (green > 0.99) + 1e-9
        shine = shine / shine.sum(dim=(1, 2), keepdim=True)
        edge = (torch.arange(256) + 0.5) / 4  # of the map, from its edge
        x, y = (shine.sum(dim=1) * edge).sum(-1), (shine.sum(dim=2) * edge).sum(-1)
        at = torch.arange(64) + 0.5
        columns = torch.exp(-(at - x[:, None]) ** 2 / 2)
        rows = torch.exp(-(at - y[:, None]) ** 2 / 2)
        return (rows[:, :, None] * columns[:, None])[None]


def picture_of_dots(boxes, shape=(600, 800)):
    """A picture, and the dots' centres (68, 2) for each box."""
    picture = np.zeros((*shape, 3), np.uint8)
    centres = []
    for x1, y1, x2, y2 in boxes:
        found = np.round(DOTS * (x2 - x1, y2 - y1) + (x1, y1)).astype(int)
        for number, (x, y) in enumerate(found):
            picture[y - 3:y + 4, x - 3:x + 4] = (number * 3 + 20, 255, 0)
        centres.append(found)
    return picture, centres


@pytest.fixture
def detector(monkeypatch):
    """A detector that is told where faces are, and sees dots."""
    detector = FaceAlignmentLandmarks('network.zip', 'finder.pth')
    detector.boxes = []
    detector.seen = []

    def find(image):
        detector.seen.append(image.shape)
        factor = image.shape[1] / detector.width
        return [(*(value * factor for value in box), score)
                for *box, score in detector.boxes]

    detector.width = 800
    monkeypatch.setattr(detector, '_load', lambda: (find, DotNetwork()))
    return detector


def test_points_come_back_to_where_they_are(detector):
    box = (250, 150, 450, 420)
    picture, centres = picture_of_dots([box])
    detector.boxes = [(*box, 0.99)]
    face, = detector.detect_faces(picture)
    assert isinstance(face, FaceLandmarks68)
    _, side = shown_square(box)
    # steps of a quarter of a heat map's pixel, and the dots' cut by interpolation
    assert np.abs(face.all_points - centres[0]).max() < 0.4 * side / 64
    assert np.abs((face.all_points - centres[0]).mean(axis=0)).max() < 0.1 * side / 64
    assert np.array_equal(face.points, five_points_from_68(face.all_points))
    assert np.array_equal(face.component_boxes(800),
                          boxes_from_68_points(face.all_points, 800))


@pytest.mark.slow
def test_points_are_those_of_the_package_to_a_pixel(detector):
    """Its own cut and decoding, which round to whole pixels at several places."""
    utils = pytest.importorskip('face_alignment.utils', reason='needs fdsr[landmarks]')
    box = (250, 150, 450, 420)
    picture, _ = picture_of_dots([box])
    detector.boxes = [(*box, 0.99)]
    face, = detector.detect_faces(picture)
    centre = torch.tensor([350.0, 285.0 - 0.12 * 270])
    scale = (200 + 270) / 195
    square = utils.crop(picture, centre, scale)
    heat = DotNetwork()(torch.from_numpy(square).permute(2, 0, 1)[None] / 255)
    theirs = utils.get_preds_fromhm(heat.numpy(), centre.numpy(), scale)[1][0]
    # where neighbours are nearly alike, a point leans the other way: half a step more
    assert np.abs(face.all_points - theirs).max() < 0.5 * 482 / 64 + 1
    assert np.median(np.abs(face.all_points - theirs)) < 1
    assert np.abs((face.all_points - theirs).mean(axis=0)).max() < 1


def test_faces_over_the_border_and_several(detector):
    # the second one's square leaves the picture by more than its own half
    boxes = [(40, 60, 200, 270), (420, 200, 780, 560)]
    picture, centres = picture_of_dots(boxes)
    detector.boxes = [
        (*boxes[0], 0.9), (*boxes[1], 0.8), (430, 210, 790, 570, 0.7),  # seen twice
        (300, 10, 400, 110, 0.3), (500, 300, 500, 400, 0.9)]  # unsure; empty
    faces = detector.detect_faces(picture)
    assert len(faces) == 2 and faces[0].eye_distance > faces[1].eye_distance
    assert np.abs(faces[0].all_points - centres[1]).max() < 5
    assert np.abs(faces[1].all_points - centres[0]).max() < 3
    assert detector.detect([picture])[0].eye_distance == faces[0].eye_distance
    detector.boxes = []
    assert detector.detect([picture]) == [None]


def test_the_finder_sees_a_picture_of_bearable_size(detector):
    detector.boxes = [(10, 10, 60, 60, 0.9)]
    for shape, seen in (((600, 800), (600, 800)), ((1500, 2048), (750, 1024)),
                        ((64, 96), (128, 192)), ((1, 1), (128, 128)),
                        ((10, 5000), (2, 1024))):
        detector.width = shape[1]
        faces = detector.detect_faces(np.zeros((*shape, 3), np.uint8))
        assert detector.seen.pop() == (*seen, 3) and len(faces) == 1


def test_peaks_lean_to_the_higher_neighbour():
    heat = np.zeros((3, 64, 64), np.float32)
    heat[0, 10, 20], heat[0, 10, 21], heat[0, 9, 20] = 1, 0.5, 0.5
    heat[1, 0, 63] = 1  # in a corner there is nothing to lean to
    assert peaks(heat).tolist() == [[20.75, 10.25], [63.5, 0.5], [0.5, 0.5]]


def test_nothing_is_read_before_the_first_call(tmp_path):
    detector = LANDMARKS.build(dict(
        type='fdsr.FaceAlignmentLandmarks', network=tmp_path / 'network.zip',
        face_finder=tmp_path / 'finder.pth'))
    picture = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(FileNotFoundError, match=f'{NETWORK[0]}.*Download https://'):
        detector.detect_faces(picture)
    (tmp_path / 'network.zip').write_bytes(b'something else')
    with pytest.raises(ValueError, match=f'expected SHA-256 {NETWORK[1]}, found'):
        detector.detect_faces(picture)
    assert pickle.loads(pickle.dumps(detector)).network == detector.network
    for name, sha256 in (NETWORK, FACE_FINDER):  # the name begins the hash
        assert sha256.startswith(name.rpartition('-')[2].partition('.')[0])


class TorchScriptDots(torch.nn.Module):
    """In the network's place: heat maps that are highest at (10, 20)."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        heat = torch.zeros(len(batch), 68, 64, 64)
        heat[:, :, 20, 10] = 1.0
        return heat


def test_files_are_loaded_by_their_hash(tmp_path):
    """The package's own S3FD with random weights, and a network as TorchScript."""
    net = pytest.importorskip('face_alignment.detection.sfd.net_s3fd',
                              reason='needs fdsr[landmarks]')
    torch.manual_seed(0)
    torch.save(net.s3fd().state_dict(), tmp_path / 'finder.pth')
    torch.jit.script(TorchScriptDots()).save(str(tmp_path / 'network.zip'))
    hashes = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
              for name in ('network.zip', 'finder.pth')]
    detector = FaceAlignmentLandmarks(
        tmp_path / 'network.zip', tmp_path / 'finder.pth', *hashes, min_confidence=0.9)
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert isinstance(detector.detect_faces(picture), list)
    detector._loaded = (lambda image: [(20, 20, 100, 100, 0.99)],
                        detector._loaded[1])
    face, = detector.detect_faces(picture)
    assert face.all_points.shape == (68, 2) and np.ptp(face.all_points) > 0
    assert len(np.unique(face.all_points, axis=0)) == 1


def test_arguments_are_checked():
    for wrong in (dict(min_confidence=0), dict(min_side=0), dict(max_side=64)):
        with pytest.raises(ValueError, match='FaceAlignmentLandmarks: expected'):
            FaceAlignmentLandmarks('network', 'finder', **wrong)
