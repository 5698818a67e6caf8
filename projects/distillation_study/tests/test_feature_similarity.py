"""Similarity of features."""

import math
from pathlib import Path

import pytest
import torch

from fdsr.registry import MODELS
from projects.distillation_study.study.feature_similarity import (
    feature_similarity,
    sample_features,
)
from tests import toy
from tests.in_process import call_tool

ROOT = Path(__file__).resolve().parents[3]
TAP = 'decoder.to_rgb:input'


def some_features(seed=0, channels=6):
    """Of 40 places of 20 faces; the channels differ in strength."""
    chance = torch.Generator().manual_seed(seed)
    values = torch.randn(20, 40, channels, generator=chance)
    return values * torch.arange(1.0, channels + 1) + 3


def rotation(channels=6):
    square = torch.randn(channels, channels, generator=torch.Generator().manual_seed(9))
    return torch.linalg.qr(square).Q


def test_equal_features_have_the_highest_similarity():
    found = feature_similarity(some_features(), some_features())
    assert (found.correlation, found.explained, found.cka) == pytest.approx((1, 1, 1))


def test_another_basis_is_told_from_other_features():
    reference = some_features()
    turned = feature_similarity(reference @ rotation() - 7, reference)
    assert abs(turned.correlation) < 0.6
    assert (turned.explained, turned.cka) == pytest.approx((1, 1))
    mixed = feature_similarity(reference @ torch.rand(6, 9), reference)
    assert math.isnan(mixed.correlation)
    assert mixed.explained == pytest.approx(1) and mixed.cka < 0.99
    other = feature_similarity(some_features(seed=1), reference)
    assert abs(other.correlation) < 0.1 and other.cka < 0.05
    assert -0.05 < other.explained < 0.05  # the fit is looked at on other faces


def test_the_share_that_is_explained_is_that_of_the_signal():
    reference = some_features()
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(2))
    found = feature_similarity(reference, reference + noise)
    signal = torch.arange(1.0, 7).square().sum()
    assert found.explained == pytest.approx(float(signal / (signal + 6)), abs=0.02)


def test_dead_channels_and_other_places():
    dead = some_features()
    dead[..., :3] = 0
    found = feature_similarity(dead, some_features())
    assert found.correlation == pytest.approx(0.5) and math.isfinite(found.explained)
    with pytest.raises(ValueError, match=r'\(20, 40, 6\) and \(20, 10, 6\)'):
        feature_similarity(dead, dead[:, :10])
    with pytest.raises(ValueError, match='at least two faces'):
        feature_similarity(dead[:1], dead[:1])


def test_the_places_are_the_same_for_all_networks():
    student = MODELS.build(toy.STUDENT).eval()
    teacher = MODELS.build(toy.TEACHER).eval()
    loader = toy.loaders()['val_dataloader']
    found = sample_features([student, teacher, student], [TAP] * 3, loader, places=5)
    assert torch.equal(found[0], found[2]) and found[0].shape[:2] == (3, 5)
    assert found[0].shape == found[1].shape and not torch.equal(found[0], found[1])
    with pytest.raises(ValueError, match='found 4 × 4, 32 × 32'):
        sample_features([student, student], [TAP, 'decoder.stages.0:input'], loader)


def test_the_tool_compares_checkpoints(tmp_path):
    teacher = toy.trained_teacher(tmp_path)
    config = toy.restorer_config(tmp_path / 'run')
    toy.train(config)
    config.dump(tmp_path / 'config.py')
    student = tmp_path / 'run' / 'iter_2.pth'
    done = call_tool(
        ROOT / 'projects/distillation_study/compare_features.py',
        tmp_path / 'config.py', teacher, teacher, student, '--faces', '3')
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert lines[0] == '| Network | same channels | any basis | CKA |'
    assert lines[2] == f'| {teacher.stem} | 1.00 | 1.00 | 1.00 |'
    assert lines[3].startswith('| iter_2 | ') and '| 1.00 |' not in lines[3]
