"""Tests of the configs in configs/ and of the projects' configs."""

import ast
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from fdsr.apis import load_backbone
from fdsr.apis.networks import open_network
from fdsr.engine.config import datasets_of, load_config
from fdsr.engine.hooks import StopOnNonFiniteHook
from fdsr.engine.launch import build_runner
from tests import toy

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
DOCS = ROOT / 'docs/configs.md'
FILES = sorted([*CONFIGS.rglob('*.py'), *ROOT.glob('projects/*/configs/*.py')])
# A study's plan lists runs; it is not a config of one.
RUNS = [path for path in FILES
        if '_base_' not in path.parts and path.name != 'plan.py']
DOCUMENTED = [path for path in RUNS if CONFIGS in path.parents]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def bases_of(path: Path) -> list[Path]:
    """Returns the files that a config names in ``_base_``."""
    for node in ast.parse(path.read_text('utf-8')).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '_base_':
            named = ast.literal_eval(node.value)
            named = [named] if isinstance(named, str) else named
            return [(path.parent / name).resolve() for name in named]
    return []


@pytest.mark.parametrize('path', RUNS, ids=relative)
def test_configs_are_short_and_readable(path):
    assert len(path.read_text().splitlines()) <= 60
    config = Config.fromfile(path)
    assert config.default_scope == 'fdsr'
    hooks = {hook['type'] for hook in config.default_hooks.values()}
    assert {'fdsr.SelfDescribingHook', 'fdsr.ExactResumeHook'} <= hooks


@pytest.mark.parametrize('path', DOCUMENTED, ids=relative)
def test_docstrings_show_the_command_and_the_docs_list_the_file(path):
    docstring = ast.get_docstring(ast.parse(path.read_text('utf-8')))
    assert re.search(rf'python tools/(train|test|benchmark)\.py {relative(path)}(\s|$)',
                     docstring)
    assert re.search(rf'`(configs/.*/)?{path.name}`', DOCS.read_text('utf-8'))


def test_every_base_is_inherited():
    bases = {path for path in FILES if '_base_' in path.parts}
    assert bases and bases <= {base for path in FILES for base in bases_of(path)}


def on_synthetic_faces(name: str, work_dir: Path) -> Config:
    """Returns a full-size config for one iteration, without external weights."""
    config = short_run(Config.fromfile(CONFIGS / name), 256, work_dir)
    config.train_cfg.max_iters = 1
    config.model.perceptual_loss.pretrained = None
    return config


def short_run(config: Config, size: int, work_dir: Path) -> Config:
    """Changes a config to two iterations on two synthetic faces, no validation."""
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


def test_the_bundled_network_is_fine_tuned_on_a_folder(tmp_path, monkeypatch):
    """It starts with the function of ``small``; one folder trains, validates, tests."""
    monkeypatch.chdir(ROOT)  # init_from is relative
    config = load_config(CONFIGS / 'students/finetune.py', data_root='mine')
    datasets = list(datasets_of(config))
    assert [dataset.data_root for dataset in datasets] == ['mine'] * 3
    assert [dataset.part for dataset in datasets] == ['train', 'val', 'val']
    config.model.perceptual_loss = None
    lr = torch.rand(1, 3, 32, 32)
    runner = build_runner(short_run(config, 256, tmp_path))
    start = runner.model.generator.eval()(lr).detach()
    small, _ = open_network('small')
    torch.testing.assert_close(start, small(lr), atol=1e-4, rtol=0)
    runner.train()
    sr = load_backbone(tmp_path / 'iter_2.pth')(lr)
    assert 0 < (sr - start).abs().max() < 0.1


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_papers_pipeline_runs_at_full_size(tmp_path):
    """Teacher, S w/o KD and distillation at 256 px, one iteration each."""
    teacher = on_synthetic_faces('teacher_vggface2.py', tmp_path / 'teacher')
    teacher.model.generator.encoder.pretrained = None
    teacher.model.generator.dictionary = dict(num_atoms=3)
    build_runner(teacher).train()

    student = on_synthetic_faces('student_vggface2.py', tmp_path / 'student')
    student.model.generator.encoder.pretrained = None
    build_runner(student).train()

    distill = on_synthetic_faces('distill_vggface2.py', tmp_path / 'distill')
    distill.model.student.encoder.pretrained = None
    distill.model.teacher.checkpoint = str(tmp_path / 'teacher' / 'iter_1.pth')
    runner = build_runner(distill)
    assert runner.model.shares_encoder
    runner.train()
    assert (tmp_path / 'distill' / 'iter_1.pth').is_file()


@pytest.mark.parametrize('name', ['rcan', 'srfbn'])
@pytest.mark.parametrize('size', [256, 128])
def test_the_baselines_configs_train(name, size, tmp_path):
    """Two iterations on synthetic faces change all weights."""
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


@pytest.mark.parametrize('size', [256, 128])
def test_the_progressive_configs_train(size, tmp_path):
    """The landmark network's config, then the progressive network with its heatmaps."""
    folder = '' if size == 256 else 'reduced/'
    landmarks = Config.fromfile(
        CONFIGS / f'{"extra" if size == 256 else "reduced"}/landmark_student.py')
    landmarks.model.student.update(channels=8)
    if size == 256:
        assert landmarks.model.teacher.network.type == 'fdsr.FANHeatmaps'
        landmarks.model.teacher.network = dict(type='fdsr.HeatmapNet', size=256)
    else:
        landmarks.model.teacher.network = dict(type='fdsr.HeatmapNet')
    build_runner(short_run(landmarks, size, tmp_path / 'landmarks')).train()

    config = Config.fromfile(CONFIGS / f'{folder}progressive_vggface2.py')
    config.model.generator.channels = 8
    config.model.discriminator = dict(channels=8)
    config.model.perceptual_loss.pretrained = None
    config.model.landmarks = str(tmp_path / 'landmarks/iter_2.pth')
    hook, = config.custom_hooks
    assert config.train_cfg.val_begin > hook.starts[-1]
    assert config.train_cfg.max_iters > hook.starts[-1] + hook.fade
    hook.update(starts=[0, 1, 2], fade=1)
    config = short_run(config, size, tmp_path / 'run')
    config.train_cfg.max_iters = 3
    runner = build_runner(config)
    before = [value.clone() for value in runner.model.generator.parameters()]
    runner.train()
    after = list(runner.model.generator.parameters())
    assert not any(torch.equal(*pair) for pair in zip(before, after))
    sr = load_backbone(tmp_path / 'run/iter_3.pth')(torch.rand(1, 3, 8, 8))
    assert sr.shape == (1, 3, 64, 64)


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
    """DIC returns (images, heatmaps); the config's adapter makes it a backbone."""
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
        # State of the previous call has no effect, whatever the batch size.
        torch.testing.assert_close(net(lr[:1]), steps[-1][:1])
    assert steps[-1].shape == (3, 3, 128, 128)


def test_the_dictionary_teacher_is_distilled_into_rcan(tmp_path):
    """The config in extra/ trains the student, the connector and D."""
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
    """The config in extra/ trains; its test images are the same each time."""
    config = Config.fromfile(CONFIGS / 'extra/student_blind_vggface2.py')
    pipelines = [config[f'{split}_dataloader'].dataset.pipeline
                 for split in ('train', 'val', 'test')]
    assert [step.get('seed') for steps in pipelines for step in steps
            if step.type == 'fdsr.BlindDegradation'] == [None, 0, 0]
    config.merge_from_dict({'train_dataloader.dataset.pipeline.2.steps': 'dfdnet'})
    config.model.generator.width = 0.2
    config.model.generator.encoder = dict(type='fdsr.TinyEncoder', frozen=True)
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


@pytest.mark.parametrize('name, discriminators, logged', [
    ('distill_affinity', 0, ['loss_affinity', 'loss_feature_l1']),
    ('distill_regularised', 1, ['loss_adversarial', 'd_r1_adversarial'])])
def test_the_distillations_in_extra_train(name, discriminators, logged, tmp_path):
    teacher = toy.trained_teacher(tmp_path / 'teacher')
    config = Config.fromfile(CONFIGS / f'extra/{name}_vggface2.py')
    config.model.student = toy.STUDENT
    config.model.teacher = dict(checkpoint=str(teacher))
    config.model.perceptual_loss = None
    config.model.discriminator.update(base_channels=8, depth=2)
    config.train_dataloader.dataset.pipeline[2].scale = toy.SCALE
    runner = build_runner(short_run(config, toy.SIZE, tmp_path / 'run'))
    assert len(runner.model.discriminator) == discriminators
    before = [value.clone() for value in runner.model.student.decoder.parameters()]
    runner.train()
    after = list(runner.model.student.decoder.parameters())
    assert not any(map(torch.equal, before, after))
    scalars = runner.message_hub.log_scalars
    assert all(scalars[f'train/{key}'].current() > 0 for key in logged)


def test_the_average_of_a_student_is_tested(tmp_path):
    """By the config in extra/; the average is the default network of the file."""
    config = Config.fromfile(CONFIGS / 'extra/student_ema_vggface2.py')
    config.model.generator.width = 0.2
    config.model.generator.encoder = dict(type='fdsr.TinyEncoder', frozen=True)
    config.model.perceptual_loss = None
    runner = build_runner(short_run(config, 64, tmp_path))
    runner.train()
    average = runner.model.generator_ema
    assert runner.model.reported_networks() == {'student_ema': average}
    saved = load_backbone(tmp_path / 'iter_2.pth')
    assert torch.equal(saved.decoder.to_rgb.weight, average.decoder.to_rgb.weight)
    assert not torch.equal(average.decoder.to_rgb.weight,
                           runner.model.generator.decoder.to_rgb.weight)


def test_a_teacher_of_layout_a_trains(tmp_path):
    """By the config in extra/, with the taps of DFDNet's release."""
    config = Config.fromfile(CONFIGS / 'extra/teacher_layout_a_vggface2.py')
    config.model.generator.update(size=64, width=0.2)
    config.model.generator.encoder = dict(type='fdsr.TinyEncoder', frozen=True)
    config.model.generator.dictionary = dict(num_atoms=3)
    config.model.perceptual_loss = None
    runner = build_runner(short_run(config, 64, tmp_path))
    assert runner.model.generator.encoder.layout == 'A'
    runner.train()
    assert load_backbone(tmp_path / 'iter_2.pth').encoder.layout == 'A'
