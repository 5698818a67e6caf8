"""The builder: features, groups, atoms."""

import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fdsr.datasets.synthetic_faces import SyntheticFacesDataset
from fdsr.geometry.components import COMPONENTS, boxes_from_five_points
from fdsr.models.backbones import DictionaryTeacher
from fdsr.models.backbones.encoder import TinyEncoder
from fdsr.models.dictionary.component_dictionary import ComponentDictionary
from fdsr.models.dictionary.files import save_dictionary
from fdsr.preparation.dictionary import building
from fdsr.preparation.dictionary.building import DictionaryBuilder
from fdsr.preparation.dictionary.clustering import cluster
from fdsr.preparation.dictionary.faces import FaceBatches
from tests.models.dictionary import naive

SIZE, EYE_SHARE, NUM_FACES, NUM_ATOMS = 64, 0.3125, 20, 6
STRIDES = (1, 2, 4, 8)


@pytest.fixture(scope='module')
def items():
    dataset = SyntheticFacesDataset(length=NUM_FACES, size=SIZE, eye_share=EYE_SHARE)
    return [dataset[index] for index in range(NUM_FACES)]


def make_builder(**kwargs) -> DictionaryBuilder:
    settings = dict(encoder=TinyEncoder(), size=SIZE, eye_share=EYE_SHARE,
                    num_atoms=NUM_ATOMS)
    return DictionaryBuilder(**{**settings, **kwargs})


def same_atoms(one: ComponentDictionary, other: ComponentDictionary) -> bool:
    return all(torch.equal(one.atoms(*slot), other.atoms(*slot))
               for slot in one.spec.slots())


def naive_features(items, component, level, side):
    """Plain slices of the encoder's maps, one face at a time."""
    encoder, features = TinyEncoder(), []
    for item in items:
        image = torch.from_numpy(item['img']).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            feature = encoder(image)[level]
        box = boxes_from_five_points(item['landmarks'], SIZE)
        x1, y1, x2, y2 = [int(value // STRIDES[level])
                          for value in box[COMPONENTS.index(component)]]
        assert 0 <= x1 < x2 <= feature.shape[-1] and 0 <= y1 < y2 <= feature.shape[-2]
        features.append(F.interpolate(
            feature[:, :, y1:y2, x1:x2], (side, side), mode='bilinear',
            align_corners=False)[0])
    return torch.stack(features)


def test_no_more_than_a_batch_is_ever_in_memory(monkeypatch):
    """Pictures and full features: what is kept of a face does not depend on its size.
    """
    pictures, features = [], []

    def alive(kept):
        return sum(reference() is not None for reference in kept)

    class Noise:
        def __iter__(self):
            generator = torch.Generator().manual_seed(0)
            boxes = torch.tensor([[8., 12, 28, 32], [36, 12, 56, 32], [22, 26, 42, 46],
                                  [16, 36, 48, 64]]).repeat(2, 1, 1)
            for _ in range(12):
                assert alive(pictures) <= 1  # the last batch, which the loop still has
                images = torch.rand(2, 3, SIZE, SIZE, generator=generator)
                pictures.append(weakref.ref(images))
                yield images, boxes
                del images

    cut_out = building.slot_features

    def watched(*arguments):
        for slot, vectors in cut_out(*arguments):
            assert alive(features) <= 2  # the last slot's, here and in the loop
            features.append(weakref.ref(vectors))
            yield slot, vectors

    monkeypatch.setattr(building, 'slot_features', watched)
    builder = make_builder()
    points = builder.project(Noise())
    builder.average(Noise(), builder.group(points))
    assert len(pictures) == 24 and len(features) == 24 * 16
    assert sum(values.nbytes for values in points.values()) == 24 * 16 * 256 * 4


@pytest.mark.parametrize('component, level', [
    ('left_eye', 0), ('right_eye', 2), ('nose', 1), ('mouth', 3), ('mouth', 0)])
def test_atoms_are_the_normalised_means_of_their_faces(items, component, level):
    builder, faces = make_builder(), FaceBatches(items, SIZE)
    built = builder.build(faces)
    labels = cluster(builder.project(faces)[component, level], NUM_ATOMS, seed=0)
    side = builder.spec.sides[component][level]
    features = naive_features(items, component, level, side)
    assert built.num_faces == NUM_FACES
    for atom in range(NUM_ATOMS):
        raw = features[torch.from_numpy(labels == atom)].mean(dim=0)
        mean, deviation = naive.statistics(raw, unbiased=False)
        torch.testing.assert_close(
            built.dictionary.atoms(component, level)[atom], (raw - mean) / deviation,
            rtol=1e-4, atol=1e-4)
    # What the groups explain, from the full features themselves.
    vectors = features.flatten(1).double().numpy()
    within = sum(np.square(vectors[labels == k] - vectors[labels == k].mean(0)).sum()
                 for k in range(NUM_ATOMS))
    explained = 1 - within / np.square(vectors - vectors.mean(0)).sum()
    assert built.explained[component][level] == pytest.approx(explained, abs=1e-3)
    assert 0.3 < explained < 1


def test_features_are_those_that_the_teacher_matches(items, monkeypatch):
    teacher = DictionaryTeacher(
        size=SIZE, eye_share=EYE_SHARE, scale=1, width=0.25,
        encoder=dict(type='fdsr.TinyEncoder'),
        dictionary=dict(num_atoms=2)).eval()
    asked = {}
    match = ComponentDictionary.match

    def recording(self, component, level, feature):
        asked[component, level] = feature.flatten(1)
        return match(self, component, level, feature)

    monkeypatch.setattr(ComponentDictionary, 'match', recording)
    images, boxes = next(iter(FaceBatches(items, SIZE, batch_size=3)))
    with torch.no_grad():
        teacher.transfer(teacher.encoder(images), boxes)
        ours = dict(make_builder().features(images, boxes))
    assert list(ours) and set(ours) == set(asked)
    for slot, feature in asked.items():
        assert torch.equal(ours[slot], feature), slot


def test_a_seed_fixes_the_atoms(items):
    first = make_builder(seed=4).build(FaceBatches(items, SIZE, seed=4))
    again = make_builder(seed=4).build(FaceBatches(items, SIZE, seed=4))
    other = make_builder(seed=5).build(FaceBatches(items, SIZE, seed=5))
    assert same_atoms(first.dictionary, again.dictionary)
    assert not same_atoms(first.dictionary, other.dictionary)


def test_each_face_its_own_atom(items):
    """K = N: every face is a group, and finds itself."""
    built = make_builder(num_atoms=NUM_FACES).build(FaceBatches(items, SIZE))
    assert min(map(min, built.explained.values())) == pytest.approx(1, abs=1e-3)
    side = built.dictionary.spec.sides['mouth'][1]
    features = naive_features(items, 'mouth', 1, side)
    assert len(built.dictionary.match('mouth', 1, features).unique()) == NUM_FACES


def test_progress_is_reported_step_by_step(items):
    calls = []
    make_builder(report=lambda step, faces: calls.append((step, faces))).build(
        FaceBatches(items, SIZE))
    steps = list(dict.fromkeys(step for step, _ in calls))
    assert steps[0] == 'features' and steps[-1] == 'averages'
    assert sum(step.startswith('K-means') for step in steps) == 16
    for step in ('features', 'averages'):
        assert sum(done for name, done in calls if name == step) == NUM_FACES


def test_more_atoms_than_faces_are_refused(items):
    with pytest.raises(ValueError, match='21 atoms .* found 20 .*--num-atoms'):
        make_builder(num_atoms=NUM_FACES + 1).build(FaceBatches(items, SIZE))
    with pytest.raises(ValueError, match='at least 1, found 0'):
        make_builder(num_atoms=0)


def test_a_layout_of_another_size_is_refused():
    with pytest.raises(ValueError, match='512 px only, found 64'):
        make_builder(encoder=TinyEncoder('dfdnet512'))


def test_bad_faces_are_left_out_and_counted(items):
    bad = [None if index in (3, 4, 5, 19) else item
           for index, item in enumerate(items)]
    faces = FaceBatches(bad, SIZE, batch_size=3)
    with_bad = make_builder().build(faces)
    without = make_builder().build(
        FaceBatches([item for item in bad if item], SIZE, batch_size=3))
    assert (with_bad.num_faces, faces.skipped) == (NUM_FACES - 4, 4)
    for slot in without.dictionary.spec.slots():
        torch.testing.assert_close(
            with_bad.dictionary.atoms(*slot), without.dictionary.atoms(*slot),
            rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('second, found', [(19, '19'), (18, '18'), (21, 'more')])
def test_data_that_change_between_the_passes_are_refused(items, second, found):
    faces = [(images, boxes) for images, boxes in FaceBatches(items, SIZE, 1)]

    class Changing:
        lengths = iter([NUM_FACES, second])

        def __iter__(self):
            return iter((faces + faces)[:next(self.lengths)])

    with pytest.raises(RuntimeError, match=f'20 faces in the first pass and {found}'):
        make_builder().build(Changing())


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_the_teacher_reads_what_was_built(items, tmp_path, dtype):
    builder = make_builder()
    built = builder.build(FaceBatches(items, SIZE))
    path = tmp_path / 'folder' / 'dictionary.pth'
    save_dictionary(built.dictionary.to(dtype), path, builder.encoder, seed=0)
    teacher = DictionaryTeacher(
        size=SIZE, eye_share=EYE_SHARE, scale=4, width=0.25,
        encoder=dict(type='fdsr.TinyEncoder'),
        dictionary=dict(file=str(path), dtype=str(dtype).removeprefix('torch.')))
    assert same_atoms(teacher.dictionary, built.dictionary)
    assert teacher.dictionary.atoms('nose', 0).dtype == dtype
    images, boxes = next(iter(FaceBatches(items, SIZE)))
    sr = teacher(F.avg_pool2d(images, 4), boxes)
    assert sr.shape == images.shape and torch.isfinite(sr).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_gpu_builds_the_same_kind_of_dictionary(items):
    built = make_builder(device='cuda').build(FaceBatches(items, SIZE))
    again = make_builder(device='cuda').build(FaceBatches(items, SIZE))
    assert built.dictionary.atoms('nose', 0).device.type == 'cpu'
    assert same_atoms(built.dictionary, again.dictionary)
