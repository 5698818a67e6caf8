"""IdentitySimilarity: its values, alignment, cache and ONNX files."""

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from fdsr.evaluation import IdentitySimilarity, embedders
from fdsr.evaluation.embedders import ARCFACE_TEMPLATE_112, FaceEmbedder
from fdsr.registry import METRICS
from fdsr.weights import sha256_of
from tests.evaluation.pictures import blurred, noisy, photographs

needs_dlib = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ('dlib', 'face_recognition_models'))),
    reason='dlib or its models are absent: pip install fdsr[identity]')


def resized(picture, size):
    """Resizes (h, w, 3) to (3, size, size) with PIL's bicubic kernel."""
    small = Image.fromarray(picture).resize((size, size), Image.BICUBIC)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


@pytest.fixture(scope='module')
def metric():
    return IdentitySimilarity()


@pytest.fixture(scope='module')
def face():
    """The face of a photograph, (1, 3, 128, 128)."""
    return resized(data.astronaut()[:256, 96:352], 128)[None]


class Colours(FaceEmbedder):
    """A toy embedder: mean colour of the upper half; records its inputs."""

    name = 'colours'

    def __init__(self):
        self.aligned, self.embedded = [], []

    def align(self, pictures):
        self.aligned += list(pictures)
        return [(len(p) // 2, bool(p.any())) for p in pictures]

    def chip(self, picture, transform):
        return picture[:transform]

    def embed(self, chips):
        self.embedded += list(chips)
        return np.stack([chip.mean((0, 1)) + 1 for chip in chips])

    def protocol(self):
        return dict(embedder='colours')


@needs_dlib
def test_equal_images_show_the_same_person(metric, face):
    assert metric.process_batch(face, face) == pytest.approx([1], abs=1e-6)


@needs_dlib
def test_more_blur_is_less_similar_and_strangers_less_than_blur(metric, face):
    steps = [metric.process_batch(face, blurred(face, r))[0] for r in (0.5, 1, 2)]
    assert steps == sorted(steps, reverse=True)
    stranger = np.repeat(data.lfw_subset()[0][..., None], 3, axis=2)
    others = torch.cat([
        resized((stranger * 255).astype('u1'), 128)[None], photographs(128)[1:],
        torch.full_like(face, 128)])
    assert steps[-1] > max(metric.process_batch(face.expand_as(others), others))


@needs_dlib
def test_a_batch_gives_what_single_images_do(face):
    gt = torch.cat([face, face.flip(3), photographs(128)[:1]])
    pred = torch.cat([blurred(gt[:2], 1), noisy(gt[2:], 20)])
    single = [IdentitySimilarity().process_image(g, p) for g, p in zip(gt, pred)]
    assert IdentitySimilarity().process_batch(gt, pred) == pytest.approx(
        single, abs=1e-6)


@needs_dlib
def test_a_gt_without_a_face_counts_with_its_square_and_is_told(face):
    metric, grey = IdentitySimilarity(), torch.full((1, 3, 96, 128), 128).byte()
    metric.process_batch(face, face)
    assert metric.protocol()['gt_without_detected_face'] == 0
    for _ in range(2):  # equal images count once
        assert metric.process_batch(grey, grey) == pytest.approx([1], abs=1e-6)
    assert metric.num_without_face == 1
    assert metric.protocol()['gt_without_detected_face'] == 1


@needs_dlib
def test_the_face_is_looked_for_in_the_gt_alone(metric, face, monkeypatch):
    """An SR without a face uses the chip of its GT."""
    aligned = []
    align = metric.embedder.align
    monkeypatch.setattr(
        metric.embedder, 'align', lambda p: aligned.extend(p) or align(p))
    gt = face.flip(2)
    value, = metric.process_batch(gt, torch.zeros_like(gt))
    assert -1 <= value < 1
    np.testing.assert_array_equal(aligned, gt.permute(0, 2, 3, 1))


@needs_dlib
def test_the_largest_face_is_taken(metric):
    """The astronaut beside a copy at half the size."""
    large = data.astronaut()[:256, 96:352]
    small = np.zeros_like(large)
    small[64:192, 64:192] = np.array(Image.fromarray(large).resize((128, 128)))
    for pair in ([large, small], [small, large]):
        both = np.concatenate(pair, axis=1)
        (transform, found), = metric.embedder.align([both])
        centre = transform.rect.center().x
        assert found and (centre < 256) == (pair[0] is large)


@needs_dlib
def test_the_protocol_carries_version_and_hashes(metric):
    facts = metric.protocol()
    assert facts['landmarks_sha256'] == sha256_of(metric.embedder.files['landmarks'])
    assert len(facts['network_sha256']) == 64 and facts['version']
    assert facts['similarity'] == 'cosine' and metric.metric == 'ID-dlib'


@needs_dlib
def test_halved_faces_are_nearer_to_themselves_than_to_others(metric, shared_faces):
    files = sorted(shared_faces.glob('test/n*/*.jpg'))[:20]
    gt = [resized(np.array(Image.open(f).convert('RGB')), 128) for f in files]
    gt = [image.permute(1, 2, 0).numpy() for image in gt]
    transforms = [transform for transform, _ in metric.embedder.align(gt)]

    def embeddings(pictures):
        chips = [metric.embedder.chip(p, t) for p, t in zip(pictures, transforms)]
        found = metric.embedder.embed(chips)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    half = [Image.fromarray(p).resize((64, 64), Image.BICUBIC) for p in gt]
    sr = [np.array(p.resize((128, 128), Image.BICUBIC)) for p in half]
    table = embeddings(sr) @ embeddings(gt).T
    assert (table.argmax(axis=1) == np.arange(len(gt))).mean() >= 0.9
    gt0, sr0 = (torch.from_numpy(p[0]).permute(2, 0, 1) for p in (gt, sr))
    assert metric.process_image(gt0, sr0) == pytest.approx(table[0, 0], abs=1e-6)


def test_gt_is_embedded_once_for_all_models():
    toy = Colours()
    metric = METRICS.build(dict(type='fdsr.IdentitySimilarity', embedder=toy))
    gt = photographs(16)
    first = metric.process_batch(gt, blurred(gt, 1))
    assert len(toy.aligned) == 3 and len(toy.embedded) == 6
    second = metric.process_batch(gt.flip(0), noisy(gt, 9).flip(0))
    assert len(toy.aligned) == 3 and len(toy.embedded) == 9
    alone = IdentitySimilarity(Colours())
    assert first == alone.process_batch(gt, blurred(gt, 1))
    assert second == alone.process_batch(gt, noisy(gt, 9))[::-1]


def test_the_cache_is_bounded_and_a_batch_may_be_larger():
    toy = Colours()
    metric = IdentitySimilarity(toy, cache_size=2)
    gt = photographs(16)
    expected = IdentitySimilarity(Colours()).process_batch(gt, gt.flip(0))
    for _ in range(2):
        assert metric.process_batch(gt, gt.flip(0)) == expected
    assert len(metric._references) == 2
    metric.process_batch(torch.cat([gt[:1], gt[:1]]), gt[:2])
    # Three images, and twice the one that had been dropped from the cache.
    assert [len(toy.aligned)] == [5]


def test_the_cosine_is_what_it_says():
    gt, pred = torch.zeros(1, 3, 2, 2).byte(), torch.zeros(1, 3, 2, 2).byte()
    pred[:, 0] = 3
    found = IdentitySimilarity(Colours()).process_batch(gt, pred)
    assert found == pytest.approx([(4 + 1 + 1) / np.sqrt(3 * 18)])


def test_works_in_mmagics_layout_of_results():
    metric, gt = IdentitySimilarity(Colours()), photographs(16)
    pred = noisy(gt, 40)
    metric.process(None, [
        dict(gt_img=g, output=dict(pred_img=p)) for g, p in zip(gt, pred)])
    mean = np.mean(metric.process_batch(gt, pred))
    assert metric.evaluate(size=3)['ID-colours'] == pytest.approx(mean)


def test_float_images_are_refused():
    gt = photographs(16)
    with pytest.raises(ValueError, match='uint8'):
        IdentitySimilarity(Colours()).process_batch(gt, gt.float())


@pytest.mark.parametrize('config, hint', [
    (dict(embedder='facenet'), "expected 'dlib' or the path"),
    (dict(sha256='0' * 64), 'only ONNX files take'),
    (dict(landmarks=dict(type='fdsr.MediaPipeLandmarks')), 'only ONNX files take'),
])
def test_bad_arguments_are_refused(config, hint):
    with pytest.raises(ValueError, match=hint):
        IdentitySimilarity(**config)


def test_missing_packages_say_what_to_install(monkeypatch):
    if importlib.util.find_spec('dlib'):
        monkeypatch.setattr(embedders, 'package_file', lambda *parts: None)
        with pytest.raises(ImportError, match=r'face_recog.*fdsr\[identity\]'):
            IdentitySimilarity()
    for package, embedder, extra in (
            ('dlib', 'dlib', 'identity'), ('onnxruntime', 'x.onnx', 'onnx')):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match=rf'{package}.*fdsr\[{extra}\]'):
            IdentitySimilarity(embedder)


class FixedLandmarks:
    """Returns the same points for all images except black ones."""

    def __init__(self, points):
        self.points = points

    def detect(self, images):
        return [
            SimpleNamespace(points=self.points) if image.any() else None
            for image in images]


def write_pooling_network(path, batch='N', side=112):
    """A network that embeds an image as 7 x 7 mean colours."""
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    make = onnx.helper
    shapes = dict(x=[batch, 3, side, side], y=[batch, 'D'])
    x, y = (
        make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items())
    nodes = [
        make.make_node(
            'AveragePool', ['x'], ['p'], kernel_shape=[16, 16], strides=[16, 16]),
        make.make_node('Flatten', ['p'], ['y'])]
    model = make.make_model(
        make.make_graph(nodes, 'pooling', [x], [y]), ir_version=8,
        opset_imports=[make.make_opsetid('', 13)])
    onnx.save(model, str(path))
    return str(path)


@pytest.mark.parametrize('batch', ['N', 1])
def test_an_onnx_network_gets_aligned_chips(tmp_path, batch):
    """The points are on the template, so the chip is a known crop of the image."""
    path = write_pooling_network(tmp_path / 'tiny.onnx', batch)
    metric = IdentitySimilarity(
        path, landmarks=FixedLandmarks(ARCFACE_TEMPLATE_112 + [5, 9]))
    assert metric.metric == 'ID-tiny'
    gt = photographs(128)
    pred = noisy(gt, 60)

    def embedding(images):
        chips = (images[:, :, 9:121, 5:117].double() - 127.5) / 127.5
        return torch.nn.functional.avg_pool2d(chips, 16).flatten(1)

    expected = torch.cosine_similarity(embedding(gt), embedding(pred))
    assert metric.process_batch(gt, pred) == pytest.approx(
        expected.tolist(), abs=1e-3)
    assert metric.protocol()['network_sha256'] == sha256_of(path)
    assert metric.num_without_face == 0


def test_an_onnx_network_gets_the_square_where_no_face_is_found(tmp_path):
    path = write_pooling_network(tmp_path / 'tiny.onnx')
    metric = IdentitySimilarity(path, landmarks=FixedLandmarks(None))
    black = torch.zeros(1, 3, 56, 100).byte()
    pred = torch.zeros(1, 3, 56, 100).byte()
    pred[..., :20] = 255  # outside of the centre square, 22 to 78
    assert metric.process_batch(black, pred) == pytest.approx([1], abs=1e-3)
    pred[..., 30:70] = 255
    assert metric.process_batch(black, pred)[0] < 0.9
    assert metric.num_without_face == 1


def test_mediapipe_is_the_default_detector(tmp_path, monkeypatch):
    path, built = write_pooling_network(tmp_path / 'tiny.onnx'), []
    stub = SimpleNamespace(build=lambda config: built.append(config) or config)
    monkeypatch.setattr('fdsr.registry.LANDMARKS', stub)
    IdentitySimilarity(path)
    IdentitySimilarity(path, landmarks=dict(type='Mine'))
    assert built == [dict(type='fdsr.MediaPipeLandmarks'), dict(type='Mine')]


def test_an_onnx_file_is_checked(tmp_path):
    path = write_pooling_network(tmp_path / 'tiny.onnx')
    points = FixedLandmarks(ARCFACE_TEMPLATE_112)
    IdentitySimilarity(path, sha256=sha256_of(path), landmarks=points)
    with pytest.raises(ValueError, match='tiny.onnx: expected SHA-256 0000'):
        IdentitySimilarity(path, sha256='0' * 64, landmarks=points)
    with pytest.raises(FileNotFoundError, match='absent.onnx'):
        IdentitySimilarity(str(tmp_path / 'absent.onnx'), landmarks=points)
    large = write_pooling_network(tmp_path / 'large.onnx', side=160)
    with pytest.raises(ValueError, match='160'):
        IdentitySimilarity(large, landmarks=points)
