"""The gate, the costs, partly labelled faces and the plan of the second study."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fdsr.models.contract import build_backbone
from fdsr.registry import DATASETS
from projects.distillation_study.study import gate
from projects.distillation_study.study.costs import Costs, iterations_to_reach
from projects.distillation_study.study.jobs import Study
from projects.distillation_study.study.labelled import PartlyLabelledFaces
from projects.distillation_study.study.oracle import (
    LearnedDictionary,
    OracleDictionary,
)
from projects.distillation_study.study.plan import read_plan
from projects.distillation_study.study.timing import seconds_per_iteration
from tests import toy
from tests.datasets.conftest import ToyRoot

SECOND = Path(__file__).resolve().parents[1] / 'configs' / 'second'


@pytest.fixture(scope='module')
def teacher():
    torch.manual_seed(0)
    return build_backbone(toy.TEACHER).eval()


@pytest.mark.parametrize('matched_on', ['lr', 'hr', 'no atoms'])
@torch.no_grad()
def test_the_oracle_sees_hr(teacher, matched_on):
    torch.manual_seed(1)
    lr, boxes = torch.rand(2, 3, 8, 8), torch.tensor([4.0, 4, 20, 20]).expand(2, 4, 4)
    hr, usual, dictionary = torch.rand(2, 3, 32, 32), teacher(lr, boxes), \
        teacher.dictionary
    teacher.use_atoms = False
    without = teacher(lr, boxes)
    teacher.use_atoms = True
    try:
        teacher.dictionary = OracleDictionary(dictionary, matched_on)
        teacher.dictionary.see(teacher, teacher.upsample(lr), boxes)
        # what is seen is LR itself: the same atom, or the feature itself
        expected = without if matched_on == 'no atoms' else usual
        torch.testing.assert_close(teacher(lr, boxes), expected, atol=1e-5, rtol=1e-4)
        teacher.dictionary.see(teacher, hr, boxes)
        assert torch.equal(teacher(lr, boxes), usual) == (matched_on == 'lr')
        maps = teacher.transfer(teacher.encode(lr), boxes)
        assert all(map(torch.Tensor.isfinite, (level.sum() for level in maps)))
    finally:
        teacher.dictionary = dictionary


def test_a_learned_dictionary_starts_as_the_usual_one(teacher):
    torch.manual_seed(1)
    feature = torch.randn(3, *teacher.dictionary.atoms('nose', 1).shape[1:])
    learned = LearnedDictionary(teacher.dictionary)
    usual, mixed = teacher.dictionary('nose', 1, feature), learned('nose', 1, feature)
    assert not torch.allclose(mixed, usual, atol=0.01)
    learned.log_sharpness['nose_1'].data.fill_(12)  # the best atom receives all weight
    torch.testing.assert_close(learned('nose', 1, feature), usual, atol=1e-4, rtol=1e-4)
    mixed.square().sum().backward()
    assert learned.atoms['nose_1'].grad.abs().sum() > 0
    assert learned.log_sharpness['nose_1'].grad != 0


def test_unknown_oracles_are_refused(teacher):
    with pytest.raises(ValueError, match="expected one of lr, hr, no atoms, found 'x'"):
        OracleDictionary(teacher.dictionary, 'x')


def test_the_gate_writes_the_values_of_each_variant(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, 'METRICS', ('PSNR',))
    checkpoint = toy.trained_teacher(tmp_path / 'teacher')
    config = toy.restorer_config('unused', toy.TEACHER, model__test_cfg=dict(
        report=['teacher']))
    config.pop('work_dir')
    config.model.type = 'fdsr.OracleRestorer'
    config.default_hooks = dict(checkpoint=None)
    # at a usual rate, two iterations change too little to show in uint8 images
    config.optim_wrapper.optimizer.lr = 0.05
    config.dump(tmp_path / 'gate.py')
    variants, out = gate.variants_of([4, 2]), tmp_path / 'out' / 'values.csv'
    assert [variant.name for variant in variants] == [
        '4 atoms, matched on LR', '4 atoms, matched on HR', '2 atoms, matched on LR',
        '2 atoms, matched on HR', 'features of HR', '4 learned atoms']
    assert [variant.num_atoms for variant in variants] == [
        None, None, 2, 2, None, None]
    chosen = [variants[0], variants[3], variants[5]]
    for variant in chosen:
        gate.run_variant(variant, str(checkpoint), tmp_path, tmp_path / 'gate.py', out,
                         {})
    found = gate.finished(out)
    assert list(found) == [variant.name for variant in chosen]
    values = [tuple(of['PSNR'].values()) for of in found.values()]
    assert values[0] != values[1] and all(len(one) == 3 for one in values)
    table = gate.gate_table(out).splitlines()
    mean = sum(values[0]) / 3
    assert f'| {mean:.4f} | – |' in table[2] and len(table) == 5


def test_costs_include_the_teacher():
    costs = Costs(student=1, distilled=1.5, forward=0.5, teacher=4, iterations=100,
                  teacher_iterations=50)
    assert costs.training_of_teacher == 200 and costs.per_distilled_student == 200
    assert [costs.total(count) for count in (1, 4)] == [400, 1000]
    # as good after 250 iterations: each distilled student saves 50 of the teacher's 200
    assert costs.break_even(250) == 4 and costs.break_even(251) == 4
    assert costs.break_even(249) == 5 and costs.break_even(math.inf) == 1
    assert costs.break_even(200) is None
    free = Costs(1, 1.5, 0.5, 4, 100, teacher_iterations=0)
    assert free.break_even(201) == 1 and free.break_even(199) is None


def test_the_iterations_that_reach_a_value():
    curve = {4000: 0.4, 16000: 0.2, 8000: 0.3}
    assert iterations_to_reach(curve, 0.5) == 4000
    assert iterations_to_reach(curve, 0.3) == pytest.approx(8000)
    assert iterations_to_reach(curve, 0.25) == pytest.approx(8000 * 2**0.5)
    assert iterations_to_reach(curve, 0.1) == math.inf


def test_partly_labelled_faces_are_those_of_the_subset(tmp_path):
    root = ToyRoot(tmp_path / 'faces', 'train', 5, 4)
    common = dict(data_root=root.root, size=32, report_dir=tmp_path)
    subset = DATASETS.build(dict(type='fdsr.VGGFace2Dataset', subset=6, **common))
    faces = PartlyLabelledFaces(num_labelled=6, **common)
    assert len(faces) == 20
    labelled = {item['name'] for item in map(faces.load, range(20)) if item['has_hr']}
    assert labelled == set(map(subset.sample_name, range(6)))
    assert faces.protocol()['labelled'] == 6


def test_the_time_of_each_part(tmp_path):
    config = toy.restorer_config(tmp_path)
    found = seconds_per_iteration(config, 2)
    assert set(found) == {'loading a batch', 'iteration'} and min(found.values()) > 0


def test_the_plan(tmp_path):
    plan = replace(read_plan(SECOND / 'plan.py'), results=tmp_path / 'results')
    study = Study(plan, tmp_path)
    pending = list(study.pending())  # plain students wait for nothing
    assert pending[:3] == ['joint:plain:0', 'dictionary', 'joint:data_300_plain:0']
    assert not [job for job in pending if 'main' in job or 'more' in job]
    for joint in plan.joints:
        arms = plan.arms_of_joint(joint.name, 0)
        config = study.config_of(arms[0], 0, {})
        assert list(config.model.arms) == [arm.trained_as for arm in arms]
        assert {f'{arm}/student' for arm in config.model.arms} <= set(
            config.optim_wrapper)
        if joint.teacher is None:
            assert config.model.teacher is None and list(config.model.arms) == ['plain']
        else:
            assert config.model.teacher.checkpoint == str(study.network(
                plan.teachers[0], 0))
        assert config.param_scheduler.end == config.train_cfg.max_iters
    teacher = study.config_of(plan.teachers[0], 0, {})
    assert teacher.model.generator.dictionary.file == str(study.dictionary)
    assert 'frozen_features' not in teacher.model
    clean = next(arm for arm in plan.arms if arm.name == 'clean_atoms')
    assert clean.teacher is None  # it is tested on other LR
