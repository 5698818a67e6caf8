"""What is told about a dictionary is true of it."""

import csv
import json

import numpy as np
import pytest
import torch

from fdsr.datasets.synthetic_faces import SyntheticFacesDataset
from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.backbones.encoder import TinyEncoder
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from fdsr.preparation.dictionary.faces import FaceBatches
from fdsr.preparation.dictionary.features import component_features
from fdsr.preparation.dictionary.inspection import (
    CROP_SIDE,
    Matches,
    atom_errors,
    crops_of,
    match_faces,
)
from fdsr.preparation.dictionary.inspection_report import (
    Inspection,
    markdown,
    write_csv,
    write_json,
)
from fdsr.weights import ExternalWeights
from tests.models.dictionary import naive

SIZE, NUM_FACES = 128, 8


@pytest.fixture(scope='module')
def faces():
    dataset = SyntheticFacesDataset(length=NUM_FACES, size=SIZE)
    return FaceBatches(dataset, SIZE, batch_size=3)


@pytest.fixture(scope='module')
def strong(faces):
    """The faces, so bright that the tiny encoder's variances are far above 1e-5."""
    return [(images * 100, boxes) for images, boxes in faces]


@pytest.fixture(scope='module')
def encoder():
    return TinyEncoder()


@pytest.fixture(scope='module')
def of_features(strong, encoder):
    """A dictionary whose atoms are the faces' own features, and one that never fits."""
    spec = DictionarySpec.uniform(
        num_atoms=NUM_FACES + 1, **dictionary_shape(encoder, SIZE, 0.3125))
    dictionary, raw = ComponentDictionary(spec), {slot: [] for slot in spec.slots()}
    with torch.no_grad():
        for images, boxes in strong:
            for slot, feature in component_features(encoder, spec.sides, images, boxes):
                raw[slot].append(feature)
    for slot, parts in raw.items():
        features = torch.cat(parts)
        dictionary.set_atoms(*slot, torch.cat([features, -features[:1]]))
    return dictionary


@pytest.fixture(scope='module')
def found(faces, strong, encoder, of_features):
    of_features.external_weights = ExternalWeights(
        name='dictionary', path='faces.pth', sha256='0' * 64, licence='ours')
    matches = match_faces(encoder, of_features, strong)
    return Inspection(of_features, faces, matches)


def test_atoms_that_are_the_features_cover_them_and_the_opposite_is_dead(found):
    for slot, matches in found.matches.items():
        report = matches.report(*slot)
        assert report.flat == 0
        assert matches.chosen.tolist() == list(range(NUM_FACES)), slot
        assert report.usage == [1] * NUM_FACES + [0] and report.dead == 1
        assert report.effective == pytest.approx(NUM_FACES)
        assert report.coverage[NUM_FACES + 1] == pytest.approx(0, abs=5e-3)


def test_usage_sums_to_the_faces_and_coverage_falls_with_k(strong, encoder):
    spec = DictionarySpec.uniform(
        num_atoms=12, **dictionary_shape(encoder, SIZE, 0.3125))
    dictionary = ComponentDictionary(spec).randomise_()
    for slot, matches in match_faces(encoder, dictionary, strong).items():
        report = matches.report(*slot)
        assert sum(report.usage) == report.num_faces == NUM_FACES
        assert report.dead == report.usage.count(0) >= 12 - NUM_FACES
        assert list(report.coverage) == [12, 6, 3, 1]
        errors = list(report.coverage.values())
        assert errors == sorted(errors) and errors[0] < errors[-1]
        assert errors[0] > 0.3, 'noise covers nothing'


def test_errors_are_those_of_the_restyled_atoms():
    sides = {name: [3] for name in COMPONENTS}
    dictionary = ComponentDictionary(DictionarySpec.uniform([4], sides, 5)).randomise_()
    feature = torch.randn(6, 4, 3, 3) * 2 + 1
    errors = atom_errors(dictionary, 'nose', 0, feature)
    for sample, row in zip(feature, errors):
        restyled = naive.adain(dictionary.atoms('nose', 0), sample[None], False)
        mean, _ = naive.statistics(sample[None], False)
        expected = (restyled - sample).flatten(1).norm(dim=1) / (sample - mean).norm()
        torch.testing.assert_close(row, expected, rtol=1e-3, atol=1e-4)


def test_a_flat_feature_is_told_apart():
    sides = {name: [2] for name in COMPONENTS}
    dictionary = ComponentDictionary(DictionarySpec.uniform([3], sides, 2)).randomise_()
    feature = torch.randn(4, 3, 2, 2)
    feature[1] = torch.tensor([1., 50, 0])[:, None, None]
    errors = atom_errors(dictionary, 'mouth', 0, feature).numpy()
    assert (errors[1] == 0).all() and (errors[[0, 2, 3]] > 0).all()
    report = Matches(np.array([0, 0, 0, 1]), errors).report('mouth', 0)
    assert report.flat == 1
    assert report.coverage[2] == pytest.approx(
        errors[[0, 2, 3]].min(axis=1).mean(), abs=1e-4)


def test_sub_dictionaries_are_of_the_most_used_atoms():
    errors = np.array([[.1, .5, .9, .8], [.2, .5, .9, .7], [.9, .9, .3, .9]], 'f4')
    report = Matches(np.array([0, 0, 2]), errors).report('nose', 1)
    assert report.usage == [2, 0, 1, 0] and report.dead == 2
    assert report.coverage == {
        4: pytest.approx(0.2), 2: pytest.approx(0.2), 1: pytest.approx(0.4)}
    assert report.effective == pytest.approx(3 / 2**(2 / 3), abs=0.01)


def test_crops_are_those_of_the_nearest_faces(found, faces):
    (first, second), = found.crops([('mouth', 1, 4)], count=2)
    assert first.shape == (CROP_SIDE, CROP_SIDE, 3) and first.dtype == np.uint8
    itself = crops_of(faces, {('mouth', 1): [4]})['mouth', 1][4]
    assert np.array_equal(first, itself) and not np.array_equal(second, itself)


@pytest.mark.parametrize('atom', [('chin', 0, 0), ('nose', 4, 0), ('nose', 0, 99)])
def test_an_atom_that_is_not_there_is_refused(found, atom):
    with pytest.raises(ValueError, match=f'no atom {atom[0]}:{atom[1]}:{atom[2]}'):
        found.crops([atom], count=1)


def test_no_faces_are_refused(encoder, of_features):
    with pytest.raises(ValueError, match='No face to match'):
        match_faces(encoder, of_features, [])


def test_tables_have_a_line_for_each_component_and_level(found, tmp_path):
    reports = found.reports()
    lines = markdown(reports, histogram=True).splitlines()
    assert len(lines) == 2 * (16 + 2) + 1
    assert '| nose | 2 | 9 | 8 | 0 | 1 | 8.0 | 1 |' in '\n'.join(lines)
    # one atom never, eight once
    assert lines[-1].startswith('| mouth | 3 | 1 | 8 |')
    write_json(tmp_path / 'new' / 'd.json', found)
    content = json.loads((tmp_path / 'new' / 'd.json').read_text())
    assert content['sha256'] == '0' * 64 and len(content['slots']) == 16
    assert sum(content['slots'][5]['usage']) == NUM_FACES
    write_csv(tmp_path / 'd.csv', reports)
    rows = list(csv.DictReader((tmp_path / 'd.csv').open()))
    assert [row['atoms_kept'] for row in rows[:4]] == ['9', '4', '2', '1']
