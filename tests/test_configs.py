"""The configs that people start from."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from fdsr.apis import load_backbone
from fdsr.engine.hooks import StopOnNonFiniteHook
from fdsr.engine.launch import build_runner
from tests import toy

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
# a study's plan names runs, and is none itself
RUNS = sorted(path for path in (*CONFIGS.rglob('*.py'),
                                *ROOT.glob('projects/*/configs/*.py'))
              if '_base_' not in path.parts and path.name != 'plan.py')


@pytest.mark.parametrize('path', RUNS, ids=lambda p: str(p.relative_to(ROOT)))
def test_configs_are_short_and_readable(path):
    assert len(path.read_text().splitlines()) <= 60
    config = Config.fromfile(path)
    assert config.default_scope == 'fdsr'
    hooks = {hook['type'] for hook in config.default_hooks.values()}
    assert {'fdsr.SelfDescribingHook', 'fdsr.ExactResumeHook'} <= hooks


def on_drawn_faces(name: str, work_dir: Path) -> Config:
    """A full-size config on two drawn faces, without weights from outside."""
    config = short_run(Config.fromfile(CONFIGS / name), 256, work_dir)
    config.model.perceptual_loss.pretrained = None
    return config


def short_run(config: Config, size: int, work_dir: Path) -> Config:
    """Two iterations on two drawn faces, without validation."""
    pipeline = config.train_dataloader.dataset.pipeline
    config.train_dataloader.dataset = dict(
        type='fdsr.SyntheticFacesDataset', length=2, size=size, pipeline=pipeline)
    config.train_dataloader.update(
        batch_size=1, num_workers=0, persistent_workers=False)
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator', 'test_dataloader',
                'test_cfg', 'test_evaluator'):
        config.pop(key)
    config.train_cfg.max_iters = 2
    config.work_dir = str(work_dir)
    config.experiment_name = f'short_{work_dir}'
    return config


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_papers_pipeline_runs_at_full_size(tmp_path):
    """Teacher, S w/o KD and distillation at 256 px, the last for two iterations."""
    teacher = on_drawn_faces('teacher_vggface2.py', tmp_path / 'teacher')
    teacher.model.generator.encoder.pretrained = None
    teacher.model.generator.dictionary = dict(num_atoms=3)
    teacher.train_cfg.max_iters = 1
    build_runner(teacher).train()

    student = on_drawn_faces('student_vggface2.py', tmp_path / 'student')
    student.model.generator.encoder.pretrained = None
    student.train_cfg.max_iters = 1
    build_runner(student).train()

    distill = on_drawn_faces('distill_vggface2.py', tmp_path / 'distill')
    distill.model.student.encoder.pretrained = None
    distill.model.teacher.checkpoint = str(tmp_path / 'teacher' / 'iter_1.pth')
    runner = build_runner(distill)
    assert runner.model.shares_encoder
    runner.train()
    assert (tmp_path / 'distill' / 'iter_2.pth').is_file()


@pytest.mark.parametrize('name', ['rcan', 'srfbn'])
@pytest.mark.parametrize('size', [256, 128])
def test_the_baselines_configs_train(name, size, tmp_path):
    """Two iterations on drawn faces; the loss goes down the gradient it clips."""
    folder = '' if size == 256 else 'reduced/'
    config = Config.fromfile(CONFIGS / f'{folder}{name}_vggface2.py')
    shrink = dict(rcan=dict(groups=1, blocks=1), srfbn=dict(groups=2, channels=16))
    config.model.generator.update(shrink[name])
    runner = build_runner(short_run(config, size, tmp_path))
    before = [value.clone() for value in runner.model.generator.parameters()]
    runner.train()
    after = list(runner.model.generator.parameters())
    assert not any(torch.equal(*pair) for pair in zip(before, after))
    assert any(isinstance(hook, StopOnNonFiniteHook) for hook in runner.hooks)
    steps = len(getattr(runner.model.generator, 'forward_steps', lambda lr: [0])(
        torch.rand(1, 3, 4, 4)))
    assert steps == (1 if name == 'rcan' else runner.model.generator.steps)


def test_a_generator_of_mmagic_is_a_baseline_by_config_alone(tmp_path):
    config = Config.fromfile(CONFIGS / 'extra/swinir_vggface2.py')
    assert config.model.generator.type == 'mmagic.SwinIRNet'
    config.model.generator.update(depths=[1], num_heads=[2], embed_dim=12)
    runner = build_runner(short_run(config, 256, tmp_path))
    before = runner.model.generator.conv_first.weight.clone()
    runner.train()
    assert not torch.equal(runner.model.generator.conv_first.weight, before)
    net = load_backbone(tmp_path / 'iter_2.pth')
    assert net(torch.rand(1, 3, 32, 32)).shape == (1, 3, 256, 256)


def test_a_recurrent_generator_of_mmagic_is_a_baseline(tmp_path):
    """DIC returns (pictures, heatmaps): the config's adapter makes it a backbone."""
    config = Config.fromfile(CONFIGS / 'extra/dic_vggface2_128.py')
    config.model.generator.network.update(
        mid_channels=8, num_blocks=2, hg_mid_channels=16, num_steps=3)
    runner = build_runner(short_run(config, 128, tmp_path))
    before = [value.clone() for value in runner.model.generator.parameters()]
    runner.train()
    after = list(runner.model.generator.parameters())
    assert sum(not torch.equal(*pair) for pair in zip(before, after)) > 0.9 * len(after)
    net = load_backbone(tmp_path / 'iter_2.pth')
    lr = torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        steps = net.forward_steps(lr)
        assert len(steps) == 3 and torch.equal(steps[-1], net(lr))
        # what it keeps of the call before does not matter, whatever the batch size
        torch.testing.assert_close(net(lr[:1]), steps[-1][:1])
    assert steps[-1].shape == (3, 3, 128, 128)


def test_the_dictionary_teacher_is_distilled_into_rcan(tmp_path):
    """By the config in extra/; what it trains is the student, the connector and D."""
    teacher = toy.trained_teacher(tmp_path / 'teacher')
    config = Config.fromfile(CONFIGS / 'extra/distill_rcan_vggface2.py')
    config.model.student.update(scale=toy.SCALE, groups=1, blocks=1, channels=16)
    config.model.teacher = dict(checkpoint=str(teacher))
    config.model.perceptual_loss = None
    config.model.discriminator.update(base_channels=8, depth=2)
    config.model.feature_losses[0].loss_weight = 1.0
    config.train_dataloader.dataset.pipeline[2].scale = toy.SCALE
    runner = build_runner(short_run(config, toy.SIZE, tmp_path / 'run'))
    assert len(runner.model.connectors) == 1
    before = {name: value.clone() for name, value in runner.model.named_parameters()}
    runner.train()
    changed = {name.split('.')[0] for name, value in runner.model.named_parameters()
               if not torch.equal(value, before[name])}
    assert changed == {'student', 'connectors', 'discriminator'}
    student = load_backbone(tmp_path / 'run/iter_2.pth')
    assert type(student).__name__ == 'RCAN'


def test_a_student_learns_from_blindly_degraded_faces(tmp_path):
    """By the config in extra/; its test pictures are the same each time."""
    config = Config.fromfile(CONFIGS / 'extra/student_blind_vggface2.py')
    pipelines = [config[f'{split}_dataloader'].dataset.pipeline
                 for split in ('train', 'val', 'test')]
    assert [step.get('seed') for steps in pipelines for step in steps
            if step.type == 'fdsr.BlindDegradation'] == [None, 0, 0]
    config.merge_from_dict({'train_dataloader.dataset.pipeline.2.steps': 'dfdnet'})
    config.model.generator.update(encoder=dict(arch='tiny', frozen=True), width=0.2)
    config.model.perceptual_loss = None
    runner = build_runner(short_run(config, 64, tmp_path))
    degradation = runner.train_dataloader.dataset.pipeline[2]
    assert degradation.name == 'dfdnet' and degradation.varies
    before = {name: value.clone() for name, value in runner.model.named_parameters()}
    runner.train()
    assert any(not torch.equal(value, before[name])
               for name, value in runner.model.named_parameters())
    net = load_backbone(tmp_path / 'iter_2.pth')
    assert net(torch.rand(1, 3, 8, 8)).shape == (1, 3, 64, 64)
