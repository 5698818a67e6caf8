"""Prediction of atoms: each head sees its component, and the loss is cross-entropy."""

import pytest
import torch

from fdsr.models.losses import AtomLoss


@pytest.fixture
def loss():
    return AtomLoss('x', channels=1, num_atoms=3, levels=2, side=2, loss_weight=2.0)


@pytest.fixture
def boxes():
    """The quarters of 32 px."""
    return torch.tensor([[[0.0, 0, 16, 16], [16, 0, 32, 16], [0, 16, 16, 32],
                          [16, 16, 32, 32]]])


def test_a_head_sees_its_component(loss, boxes):
    feature = torch.zeros(1, 1, 8, 8)
    empty = loss.scores(feature, boxes, sr_side=32)
    assert empty.shape == (1, 4, 2, 3)
    feature[0, 0, 6, 6] = 1  # in the box of the mouth
    changed = (loss.scores(feature, boxes, sr_side=32) != empty).flatten(2).any(2)
    assert changed.tolist() == [[False, False, False, True]]


def test_the_loss_is_the_cross_entropy_of_each_component_and_level(loss, boxes):
    feature = torch.randn(1, 1, 8, 8)
    atoms = torch.tensor([[[0, 1], [2, 0], [1, 1], [0, 2]]])
    scores = loss.scores(feature, boxes, 32)
    expected = torch.stack([
        scores[0, component, level].logsumexp(0)
        - scores[0, component, level, atoms[0, component, level]]
        for component in range(4) for level in range(2)]).mean()
    found = loss(feature, boxes, atoms, 32)
    torch.testing.assert_close(found['loss_atoms'], 2 * expected)
    best = scores.argmax(-1)
    assert loss(feature, boxes, best, 32)['atoms_found'] == 1
    assert loss(feature, boxes, (best + 1) % 3, 32)['atoms_found'] == 0
