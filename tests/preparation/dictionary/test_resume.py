"""A build that was cut off goes on, and ends as if it had not been."""

import numpy as np
import pytest
import torch

from fdsr.models.backbones.encoder import TinyEncoder
from fdsr.models.dictionary.component_dictionary import normalize
from fdsr.preparation.dictionary.building import DictionaryBuilder
from fdsr.preparation.dictionary.clustering import SignProjection, cluster
from fdsr.preparation.dictionary.resume import BuildState

SIZE, NUM_FACES, NUM_ATOMS, SEED = 32, 10, 3, 2


class Cut(Exception):
    """Stands for a process that is killed."""


@pytest.fixture(scope='module')
def faces():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(NUM_FACES, 3, SIZE, SIZE, generator=generator)
    boxes = torch.tensor([[4., 6, 14, 16], [18, 6, 28, 16], [11, 13, 21, 23],
                          [8, 18, 24, 32]]).repeat(NUM_FACES, 1, 1)
    return list(zip(images.split(3), boxes.split(3)))


def builder_of(folder=None, cut_at=None, **settings) -> DictionaryBuilder:
    """A builder that is cut off at the ``cut_at``-th report."""
    reports = iter(range(1000))

    def report(step, faces):
        if next(reports) == cut_at:
            raise Cut

    state = folder and BuildState(folder, settings, save_every=4)
    return DictionaryBuilder(TinyEncoder(), SIZE, 0.3125, NUM_ATOMS, SEED,
                             report=report, state=state)


def same(one, other):
    return one.explained == other.explained and all(
        torch.equal(one.dictionary.atoms(*slot), other.dictionary.atoms(*slot))
        for slot in one.dictionary.spec.slots())


def test_the_algorithm_itself_is_what_it_was(faces):
    """Bit for bit: project, cluster, add one after the other, divide, normalize."""
    builder = builder_of()
    built, batches = builder.build(faces), [dict(builder.features(*one))
                                            for one in faces]
    for order, slot in enumerate(builder.spec.slots()):
        parts = [features[slot].detach() for features in batches]
        projection = SignProjection(parts[0].shape[1], 256, (SEED, order))
        points = torch.cat([projection(part) for part in parts]).numpy()
        labels = cluster(points, NUM_ATOMS, SEED)
        sums = torch.zeros(NUM_ATOMS, parts[0].shape[1])
        for label, vector in zip(labels, torch.cat(parts)):
            sums[label] += vector
        sums /= torch.from_numpy(np.bincount(labels))[:, None]
        expected = normalize(sums.view(builder.spec.atom_shape(*slot)), False)
        assert torch.equal(built.dictionary.atoms(*slot), expected), slot


# 0 features, 1–4 its batches, 5–20 K-means, 21 averages, 22–25 its batches
@pytest.mark.parametrize('cut_at', [1, 3, 4, 5, 11, 21, 22, 23, 24, 25])
def test_it_goes_on_from_any_place(faces, tmp_path, cut_at):
    folder = tmp_path / 'd.pth.partial'
    with pytest.raises(Cut):
        builder_of(folder, cut_at).build(faces)
    assert same(builder_of(folder).build(faces), builder_of().build(faces))


def test_a_build_may_be_cut_off_again_and_again(faces, tmp_path):
    for cut_at in (2, 4, 9, 22, 23, 24):
        with pytest.raises(Cut):
            builder_of(tmp_path / 'p', cut_at).build(faces)
    assert same(builder_of(tmp_path / 'p').build(faces), builder_of().build(faces))


def test_what_is_finished_is_not_computed_again(faces, tmp_path, monkeypatch):
    with pytest.raises(Cut):
        builder_of(tmp_path / 'p', 24).build(faces)
    encoded = []
    features = DictionaryBuilder.features

    def counting(self, images, boxes):
        encoded.append(len(images))
        return features(self, images, boxes)

    def refused(*args):
        raise AssertionError('K-means was done before')

    monkeypatch.setattr(DictionaryBuilder, 'features', counting)
    monkeypatch.setattr('fdsr.preparation.dictionary.building.cluster', refused)
    builder_of(tmp_path / 'p').build(faces)
    # the sums were kept after 6 of 10 faces
    assert encoded == [3, 1]


def test_other_settings_are_refused(faces, tmp_path):
    builder_of(tmp_path / 'p', seed=1, size=(3, 4))
    builder_of(tmp_path / 'p', seed=1, size=(3, 4))
    with pytest.raises(ValueError) as refusal:
        builder_of(tmp_path / 'p', seed=2, size=(3, 4))
    message = str(refusal.value)
    assert 'seed: expected 2, found 1' in message and '--no-resume' in message
    assert str(tmp_path / 'p') in message


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(ValueError, match='not an unfinished .* another --out'):
        BuildState(tmp_path, {})


def test_faces_that_changed_since_are_refused(faces, tmp_path):
    with pytest.raises(Cut):
        builder_of(tmp_path / 'p', 2).build(faces)
    images, boxes = faces[0]
    with pytest.raises(RuntimeError, match='3 faces .* 2 in'):
        builder_of(tmp_path / 'p').build([(images[:2], boxes[:2]), *faces[1:]])


def test_what_a_first_or_a_last_moment_leaves_is_known(faces, tmp_path, monkeypatch):
    """Cut off before the settings are whole, and while all of it is taken away."""
    (tmp_path / 'p').mkdir()
    (tmp_path / 'p' / 'settings.json.part').write_text('{')
    builder = builder_of(tmp_path / 'p')
    built = builder.build(faces)
    with monkeypatch.context() as patch:
        patch.setattr('fdsr.preparation.dictionary.resume.shutil.rmtree', None)
        with pytest.raises(TypeError):
            builder.state.remove()
    assert same(builder_of(tmp_path / 'p').build(faces), built)


def test_a_half_written_file_does_not_count(tmp_path, monkeypatch):
    state = BuildState(tmp_path / 'p', {})

    def broken(file, values):
        file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(np, 'save', broken)
    with pytest.raises(OSError, match='points_000000.npy .*disk full.*Free disk space'):
        state.keep_array('points_000000', np.zeros((1, 1, 1)))
    assert state.array('points_000000') is None and not list(tmp_path.rglob('*.part-*'))
    state.remove()
    assert not (tmp_path / 'p').exists()
