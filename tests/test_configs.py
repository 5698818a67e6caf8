"""The configs that people start from."""

from pathlib import Path

import pytest
from mmengine.config import Config

from fdsr.engine.launch import build_runner

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
RUNS = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)


@pytest.mark.parametrize('path', RUNS, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_configs_are_short_and_readable(path):
    assert len(path.read_text().splitlines()) <= 60
    config = Config.fromfile(path)
    assert config.default_scope == 'fdsr'
    hooks = {hook['type'] for hook in config.default_hooks.values()}
    assert {'fdsr.SelfDescribingHook', 'fdsr.ExactResumeHook'} <= hooks


def on_drawn_faces(name: str, work_dir: Path) -> Config:
    """A full-size config on two drawn faces, without weights from outside."""
    config = Config.fromfile(CONFIGS / name)
    pipeline = config.train_dataloader.dataset.pipeline
    config.train_dataloader.dataset = dict(
        type='fdsr.DrawnFacesDataset', length=2, size=256, pipeline=pipeline)
    config.train_dataloader.update(
        batch_size=1, num_workers=0, persistent_workers=False)
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader',
                'test_cfg', 'test_evaluator'):
        config.pop(key)
    config.train_cfg.max_iters = 2
    config.work_dir = str(work_dir)
    config.experiment_name = f'{name}_{work_dir.name}'
    config.model.perceptual_loss.pretrained = None
    return config


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_papers_pipeline_runs_at_full_size(tmp_path):
    """Teacher, S w/o KD and distillation: two iterations each at 256 px."""
    teacher = on_drawn_faces('teacher_vggface2.py', tmp_path / 'teacher')
    teacher.model.generator.encoder.pretrained = None
    teacher.model.generator.dictionary = dict(num_atoms=3)
    build_runner(teacher).train()

    student = on_drawn_faces('student_vggface2.py', tmp_path / 'student')
    student.model.generator.encoder.pretrained = None
    build_runner(student).train()

    distill = on_drawn_faces('distill_vggface2.py', tmp_path / 'distill')
    distill.model.student.encoder.pretrained = None
    distill.model.teacher.checkpoint = str(tmp_path / 'teacher' / 'iter_2.pth')
    runner = build_runner(distill)
    assert runner.model.shares_encoder
    runner.train()
    assert (tmp_path / 'distill' / 'iter_2.pth').is_file()
