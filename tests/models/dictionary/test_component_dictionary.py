"""Batched matching and transfer against the naive formulas."""

import pytest
import torch

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones import DictionaryTeacher
from fdsr.models.dictionary import component_dictionary
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from tests.models.dictionary import naive

STRIDES = (1, 2, 4, 8)


def random_boxes(batch: int, side: int, seed: int) -> torch.Tensor:
    """Different in every sample, up to a third of each over the border."""
    generator = torch.Generator().manual_seed(seed)
    centres = side / 8 + torch.rand(batch, 4, 2, generator=generator) * side * 3 / 4
    halves = (torch.rand(batch, 4, 2, generator=generator) + 2.5) * side / 14
    return torch.cat([centres - halves, centres + halves], dim=-1)


def teacher_and_raw_atoms(num_atoms=7, **kwargs):
    torch.manual_seed(0)
    teacher = DictionaryTeacher(
        size=64, scale=4, encoder=dict(type='fdsr.TinyEncoder'), width=0.25,
        dictionary=dict(num_atoms=num_atoms), **kwargs).eval()
    raw = {}
    for component, level in teacher.dictionary.spec.slots():
        shape = teacher.dictionary.spec.atom_shape(component, level)
        raw[component, level] = torch.rand(shape) * 3 * torch.rand(shape[1])[:, None,
                                                                             None]
        teacher.dictionary.set_atoms(component, level, raw[component, level])
    return teacher, raw


def naive_transfer(teacher, raw, maps, boxes):
    results, chosen = [], []
    for level, stride in enumerate(STRIDES):
        blocks = [teacher.confidence[name][level] for name in COMPONENTS]
        plain = [torch.nn.Sequential(b.first, b.act, b.second) for b in blocks]
        result, rows = naive.transfer(
            maps[level], boxes, stride, [raw[name, level] for name in COMPONENTS],
            [teacher.dictionary.spec.sides[name][level] for name in COMPONENTS], plain)
        results.append(result)
        chosen.append(rows)
    return results, chosen


def record_matches(teacher, monkeypatch):
    chosen = []
    match = ComponentDictionary.match

    def recording(self, component, level, feature):
        index = match(self, component, level, feature)
        chosen.append(index.tolist())
        return index

    monkeypatch.setattr(ComponentDictionary, 'match', recording)
    return chosen


@pytest.mark.parametrize('batch', [1, 2, 3, 4])
def test_batched_transfer_equals_the_naive_one(batch, monkeypatch):
    teacher, raw = teacher_and_raw_atoms()
    chosen = record_matches(teacher, monkeypatch)
    boxes = random_boxes(batch, 64, seed=batch)
    generator = torch.Generator().manual_seed(batch)
    maps = [torch.randn(batch, c, 64 // s, 64 // s, generator=generator)
            for c, s in zip(teacher.encoder.channels, STRIDES)]
    with torch.no_grad():
        ours = teacher.transfer(maps, boxes)
        theirs, their_atoms = naive_transfer(teacher, raw, maps, boxes)
    our_atoms = [list(zip(*chosen[4 * level:4 * level + 4])) for level in range(4)]
    assert our_atoms == [[tuple(row) for row in rows] for rows in their_atoms]
    for our, their in zip(ours, theirs):
        torch.testing.assert_close(our, their, rtol=0,
                                   atol=1e-5 * float(their.abs().max()))


def test_matching_atoms_of_an_image_are_those_of_the_naive_transfer():
    teacher, raw = teacher_and_raw_atoms()
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    boxes = random_boxes(2, 64, seed=5)
    found = teacher.matching_atoms(image, boxes)
    with torch.no_grad():
        _, chosen = naive_transfer(teacher, raw, teacher.encoder(image), boxes)
    assert torch.equal(found, torch.tensor(chosen).permute(1, 2, 0))


@pytest.mark.parametrize('box', [
    [-9.0, -7, 2, 3], [60, 60, 90, 99], [-20, -20, -5, -5], [70, 80, 90, 95],
    [30.2, 30.4, 30.6, 30.9], [20, 20, 20, 20], [-5, -5, 70, 70]])
def test_boxes_at_and_beyond_the_border(box):
    """Clipped, never empty, and nothing outside the clipped box changes."""
    teacher, _ = teacher_and_raw_atoms()
    boxes = torch.tensor(box).expand(2, 4, 4)
    maps = [torch.randn(2, c, 64 // s, 64 // s)
            for c, s in zip(teacher.encoder.channels, STRIDES)]
    with torch.no_grad():
        updated = teacher.transfer(maps, boxes)
    for before, after, stride in zip(maps, updated, STRIDES):
        assert torch.isfinite(after).all()
        side = 64 // stride
        x1, y1, x2, y2 = [int(v // stride) for v in box]
        rows = slice(min(max(y1, 0), side - 1), max(min(y2, side), y1 + 1, 1))
        columns = slice(min(max(x1, 0), side - 1), max(min(x2, side), x1 + 1, 1))
        outside = torch.ones(side, side, dtype=torch.bool)
        outside[rows, columns] = False
        assert torch.equal(before[..., outside], after[..., outside])
        assert not torch.equal(before, after)


def test_matching_needs_the_features_deviation():
    """Without σ(F) other atoms win: channels of different contrast weigh alike."""
    torch.manual_seed(3)
    spec = DictionarySpec.uniform([6] * 4, {name: [4] * 4 for name in COMPONENTS}, 50)
    dictionary = ComponentDictionary(spec).randomise_()
    contrast = torch.tensor([8.0, 4, 2, 1, 0.5, 0.1])[:, None, None]
    feature = torch.randn(64, 6, 4, 4) * contrast
    ours = dictionary.match('nose', 0, feature)
    restyled = [naive.adain(dictionary.atoms('nose', 0), one[None], False)
                for one in feature]
    right = torch.tensor([int((atoms * one).flatten(1).sum(1).argmax())
                          for atoms, one in zip(restyled, feature)])
    assert torch.equal(ours, right)
    without = (feature.flatten(1) @ dictionary.atoms('nose', 0).flatten(1).T).argmax(1)
    assert (without != right).float().mean() > 0.2


def test_half_precision_atoms_match_in_chunks(monkeypatch):
    spec = DictionarySpec.uniform([5] * 4, {name: [4] * 4 for name in COMPONENTS}, 30)
    full = ComponentDictionary(spec).randomise_()
    half = ComponentDictionary(spec, torch.float16).randomise_()
    monkeypatch.setattr(component_dictionary, '_CHUNK_VALUES', 5 * 16 * 7)
    feature = torch.randn(16, 5, 4, 4)
    assert half.atoms('mouth', 2).dtype == torch.float16
    assert torch.equal(half.match('mouth', 2, feature), full.match('mouth', 2, feature))


def test_matching_ignores_autocast():
    teacher, _ = teacher_and_raw_atoms()
    feature = torch.randn(4, 16, 10, 10)
    feature = torch.nn.functional.interpolate(
        feature, teacher.dictionary.spec.sides['nose'][0])
    with torch.autocast('cpu', torch.bfloat16):
        index = teacher.dictionary.match('nose', 0, feature)
        styled = teacher.dictionary('nose', 0, feature)
    assert styled.dtype == torch.float32
    assert torch.equal(index, teacher.dictionary.match('nose', 0, feature))


def test_atoms_are_normalised_buffers_that_travel():
    teacher, raw = teacher_and_raw_atoms()
    keys = [key for key in teacher.state_dict() if key.startswith('dictionary.')]
    assert len(keys) == 16
    atoms = teacher.dictionary.atoms('mouth', 1)
    torch.testing.assert_close(atoms.mean(dim=(2, 3)), torch.zeros(7, 24), atol=1e-5,
                               rtol=0)
    assert not any('dictionary' in name for name, _ in teacher.named_parameters())


def test_number_of_atoms_may_differ_by_component_and_level():
    sides = {name: [4, 2] for name in COMPONENTS}
    counts = {'left_eye': [3, 5], 'right_eye': [2, 2], 'nose': [9, 1], 'mouth': [4, 6]}
    dictionary = ComponentDictionary(DictionarySpec([3, 4], sides, counts)).randomise_()
    feature = torch.randn(8, 4, 2, 2)
    for name in COMPONENTS:
        assert int(dictionary.match(name, 1, feature).max()) < counts[name][1]


def test_wrong_shape_of_atoms_is_refused():
    teacher, _ = teacher_and_raw_atoms()
    with pytest.raises(ValueError, match='Atoms of nose at level 0'):
        teacher.dictionary.set_atoms('nose', 0, torch.zeros(1, 2, 3, 3))
