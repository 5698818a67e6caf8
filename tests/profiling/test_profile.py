"""Profiles: what is counted, what is measured, and how it is told."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from fdsr.geometry.components import template_boxes
from fdsr.models.backbones import RCAN, SRFBN, DistilledStudent
from fdsr.profiling import detection
from fdsr.profiling.detection import detection_part, usual_detection_part
from fdsr.profiling.measuring import count_gmacs, peak_memory
from fdsr.profiling.profile import DETECTION, DICTIONARY, Part, profile_backbone
from fdsr.profiling.table import format_profile, write_profiles
from fdsr.registry import LANDMARKS, MODELS
from fdsr.weights import weights_follow
from tests import toy

LR = toy.SIZE // toy.SCALE
QUICK = dict(warmup=0, repeats=1)


@pytest.fixture(scope='module')
def teacher():
    return MODELS.build(toy.TEACHER).eval()


@pytest.fixture(scope='module')
def profile(teacher):
    found = Part(DETECTION, 2.5, note='two and a half milliseconds')
    return profile_backbone(teacher, LR, (1, 2), detection=found, **QUICK)


class SmallNet(nn.Module):
    """A trained and a frozen convolution, and a linear layer by einsum."""

    scale, uses_boxes = 2, False

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.ConvTranspose2d(8, 3, 2, stride=2).requires_grad_(False)
        self.colours = nn.Parameter(torch.eye(3))
        self.register_buffer('offset', torch.zeros(5, dtype=torch.float64))

    def forward(self, lr):
        feature = self.second(torch.relu(self.first(lr)))
        return torch.einsum('dc,bchw->bdhw', self.colours, feature)


# What is counted

def test_counts_are_those_computed_by_hand():
    profile = profile_backbone(SmallNet(), 10, (1, 3), **QUICK)
    assert (profile.lr_size, profile.sr_size) == (10, 20)
    macs = 100 * 3 * 8 * 9 + 100 * 8 * 3 * 4 + 400 * 3 * 3
    assert profile.gmacs == pytest.approx(macs / 1e9)
    assert profile.trained == 3 * 8 * 9 + 8 + 9
    assert profile.frozen == 8 * 3 * 4 + 3
    assert profile.network_mb == pytest.approx(
        (4 * (profile.trained + profile.frozen) + 5 * 8) / 1e6)
    assert profile.dictionary_mb == 0 and profile.parts == ()
    assert [one.batch_size for one in profile.latencies] == [1, 3]
    for one in profile.latencies:
        assert 0 < one.best_ms <= one.median_ms
        assert one.ms_per_picture == one.median_ms / one.batch_size


@pytest.mark.parametrize('build, gmacs', [
    (RCAN, 18.80), (SRFBN, 53.83),
    (lambda: DistilledStudent(encoder=dict(pretrained=None)), 100.56)])
def test_arithmetic_of_the_papers_networks(build, gmacs):
    with weights_follow():
        network = build().eval().to('meta')  # counted without being computed
    lr = torch.empty(1, 3, 32, 32, device='meta')
    assert count_gmacs(lambda: network(lr)) == pytest.approx(gmacs, abs=5e-3)


def test_the_students_frozen_encoder_is_apart():
    with weights_follow():
        student = DistilledStudent(
            encoder=dict(arch='vgg16', pretrained=None), width=0.1)
    profile = profile_backbone(student, 8, (1, ), **QUICK)
    assert profile.frozen == sum(p.numel() for p in student.encoder.parameters())
    assert profile.trained == sum(p.numel() for p in student.decoder.parameters())


# The teacher's parts

def test_the_parts_are_the_whole(teacher, profile):
    assert [part.name for part in profile.parts] == [
        DETECTION, 'encoder', DICTIONARY, 'decoder']
    inside = profile.parts[1:]
    assert sum(part.gmacs for part in inside) == pytest.approx(profile.gmacs)
    assert sum(part.memory_mb for part in inside) == pytest.approx(
        profile.network_mb + profile.dictionary_mb)
    assert profile.parts_ms == pytest.approx(2.5 + sum(part.ms for part in inside))
    atoms = sum(buffer.numel() * 4 for buffer in teacher.dictionary.buffers())
    assert profile.parts[2].note.endswith('MB of atoms, float32')
    assert atoms > 0 and profile.dictionary_mb == pytest.approx(atoms / 1e6)


def test_without_a_detector_the_sum_leaves_it_out(teacher):
    profile = profile_backbone(teacher, LR, (1, ), **QUICK)
    assert profile.parts[0].ms is None
    assert profile.parts_ms == sum(part.ms for part in profile.parts[1:])
    text = format_profile({'teacher': profile})
    assert f'| {DETECTION} | not measured |' in text
    assert f'without {DETECTION} |' in text


def test_boxes_are_the_templates_and_their_size_counts(teacher, profile):
    boxes = template_boxes(toy.SIZE)
    assert boxes.shape == (4, 4) and boxes[0, 0] < boxes[1, 0]
    small = torch.from_numpy(boxes.copy())
    small[:, 2:] = small[:, :2] + 2
    less = profile_backbone(teacher, LR, (1, ), small, **QUICK)
    same = profile_backbone(teacher, LR, (1, ), boxes, **QUICK)
    assert less.gmacs < same.gmacs == profile.gmacs


# Memory

@pytest.mark.skipif(peak_memory(int) is None, reason='the system tells no peak')
def test_peak_memory_is_that_of_the_call_alone():
    def call(megabytes):
        return lambda: torch.ones(megabytes * 10**6 // 4)

    call(30)()
    peaks = [peak_memory(call(size)) / 1e6 for size in (30, 120, 30)]
    assert peaks == pytest.approx([30, 120, 30], abs=2)


def test_the_calls_modes_are_the_callers():
    seen = []

    def call():
        seen.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))

    with torch.inference_mode():
        peak_memory(call)
    with torch.no_grad():
        peak_memory(call)
    peak_memory(call)
    assert seen in ([], [(True, False), (False, False), (False, True)])


def test_an_error_in_the_call_is_not_swallowed():
    if peak_memory(int) is not None:
        with pytest.raises(ZeroDivisionError):
            peak_memory(lambda: 1 / 0)


# Finding landmarks

class HalfBlind:
    """Finds a face in every other image."""

    def __init__(self):
        self.calls = 0

    def detect(self, images):
        self.calls += 1
        return [None if number % 2 else image for number, image in enumerate(images)]


def test_a_detector_is_timed_and_its_finds_are_counted():
    detector, image = HalfBlind(), np.zeros((8, 8, 3), np.uint8)
    part = detection_part(detector, [image] * 3, 'of the void', 2, 4)
    assert part.ms > 0 and detector.calls == 1 + 2 + 4
    assert 'in 2 of 3' in part.note and part.note.endswith('of the void')


def test_the_usual_detector_looks_at_upsampled_faces(monkeypatch):
    seen = []

    class Watching(HalfBlind):
        def detect(self, images):
            seen.extend(images)
            return super().detect(images)

    monkeypatch.setattr(LANDMARKS, 'build', lambda config: Watching())
    part = usual_detection_part(8, 64, **QUICK)
    assert part.ms > 0 and 'synthetic faces' in part.note
    assert {image.shape for image in seen} == {(64, 64, 3)}
    # eight LR pixels a side leave no detail from one SR pixel to the next
    assert max(np.abs(np.diff(image.astype(int), axis=1)).max()
               for image in seen) < 50


def test_an_absent_detector_is_a_reason_not_an_error(monkeypatch):
    def absent(config):
        raise ImportError('pip install "fdsr[landmarks]"')

    monkeypatch.setattr(LANDMARKS, 'build', absent)
    part = usual_detection_part(8, 64)
    assert part.ms is None
    assert part.note == 'not measured: pip install "fdsr[landmarks]"'
    monkeypatch.undo()
    monkeypatch.setattr(detection, 'default_detector',
                        lambda: dict(type='fdsr.Nobody'))
    assert "not measured: 'fdsr.Nobody' is not" in usual_detection_part(8, 64).note


# What cannot be

@pytest.mark.parametrize('changes, message', [
    (dict(batch_sizes=()), 'batch sizes'), (dict(batch_sizes=(0, )), 'at least 1'),
    (dict(repeats=0), 'repeats=0'), (dict(lr_size=0), 'lr_size=0'),
    (dict(device='meta'), 'cpu or cuda'), (dict(lr_size=16), 'LR images of 8 px')])
def test_impossible_arguments_are_named(teacher, changes, message):
    with pytest.raises(ValueError, match=message):
        profile_backbone(teacher, **{'lr_size': LR, **changes})


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_an_absent_gpu_is_named(teacher):
    with pytest.raises(ValueError, match='device=cpu'):
        profile_backbone(teacher, LR, device='cuda')


# On paper

def test_the_table_comes_with_its_protocol(profile):
    text = format_profile({'teacher': profile}, ['teacher: random atoms'])
    rows = [line for line in text.splitlines() if line.startswith('| teacher |')]
    assert [row.split(' | ')[1] for row in rows] == ['8 → 32', '1', '2']
    assert f'| {DETECTION} | 2.5 |' in text and 'two and a half' in text
    for fact in ('- teacher: random atoms', '- dtype: float32', '1 calls after 0',
                 '- macs: convolutions', '- memory: peak', 'threads', 'torch '):
        assert fact in text


def test_profiles_measured_differently_share_no_table(profile):
    other = profile_backbone(SmallNet(), 4, (1, ), warmup=0, repeats=2)
    with pytest.raises(ValueError, match='measured alike'):
        format_profile({'teacher': profile, 'other': other})
    with pytest.raises(ValueError, match='Found none'):
        format_profile({})


def test_json_holds_everything(profile, tmp_path):
    write_profiles(tmp_path / 'new' / 'p.json', {'teacher': profile}, ['a note'])
    content = json.loads((tmp_path / 'new' / 'p.json').read_text())
    assert content['notes'] == ['a note']
    values = content['models']['teacher']
    assert values == json.loads(json.dumps(profile.to_dict()))
    assert values['parts_ms'] == profile.parts_ms
    assert values['latencies'][1]['ms_per_picture'] == pytest.approx(
        values['latencies'][1]['median_ms'] / 2)
    assert values['protocol']['hardware']['torch'] == torch.__version__
