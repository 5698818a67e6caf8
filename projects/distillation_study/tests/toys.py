"""A study of toys: its configs, its plan, and one that has been done."""

import dataclasses
import shutil
from pathlib import Path

from mmengine.config import Config

from projects.distillation_study.study.jobs import Study
from projects.distillation_study.study.plan import read_plan
from tests import toy

AUTOCAST = dict(type='fdsr.AutocastOptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
LEARNS = {'model.teacher.checkpoint': '{teacher}'}


def write_configs(folder):
    """The configs of a toy study: student, teacher and distillation."""
    teacher = {**toy.TEACHER, 'dictionary': dict(file='nowhere.pth')}
    configs = dict(
        student=toy.restorer_config('unused', optim_wrapper=AUTOCAST),
        teacher=toy.restorer_config('unused', teacher, optim_wrapper=AUTOCAST),
        distill=toy.distiller_config(
            'unused', dict(checkpoint='nowhere.pth'), optim_wrapper=dict(
                constructor='fdsr.GroupOptimWrapperConstructor', student=AUTOCAST,
                discriminator=AUTOCAST)))
    configs['bicubic'] = toy.restorer_config(
        'unused', dict(type='fdsr.Bicubic', scale=toy.SCALE),
        model__test_cfg=dict(report=['bicubic']))
    configs['bicubic'].pop('optim_wrapper')
    for name, config in configs.items():
        config.model.setdefault('test_cfg', dict(
            report=['student' if 'student' in config.model else 'generator']))
        config.pop('work_dir')
        config.pop('experiment_name')
        config.train_dataloader.dataset.pipeline[-1].meta_keys = ['name', 'mirrored']
        config.default_hooks.checkpoint.interval = 1
        config.default_hooks.logger.log_metric_by_epoch = False
        config.dump(folder / f'{name}.py')


def write_plan(folder):
    """Writes a plan and its configs into a folder."""
    write_configs(folder)
    plan = dict(
        results=str(folder / 'results'), document=str(folder / 'study.md'),
        dictionary=dict(config='teacher.py', num_atoms=2, max_faces=8, seed=0),
        taps=['decoder.to_rgb:input'],
        teachers=[dict(name='teacher', config='teacher.py', options={
            'model.generator.dictionary.file': '{dictionary}'})],
        arms=[
            dict(name='alone', config='student.py', seeds=[0, 1]),
            dict(name='distilled', config='distill.py', teacher='teacher',
                 control='alone', seeds=[0], options=LEARNS),
            dict(name='warm', config='student.py', teacher='teacher', seeds=[0],
                 options={'model.init_from': '{teacher}'}),
            dict(name='bicubic', config='bicubic.py', frozen=False)])
    Config(plan).dump(folder / 'plan.py')
    return folder / 'plan.py'


def run_test(config, checkpoint, out):
    """Stands in for measuring, which is another test's business and takes long."""
    from fdsr.apis import load_backbone
    from fdsr.evaluation.protocol import write_rows
    rows = [dict(name=f'i{n}', model='x', PSNR=20 + n, SSIM=0.5, LPIPS=0.1,
                 **{'LPIPS-vgg16': 0.2, 'ID-dlib': 0.9}) for n in range(3)]
    assert (checkpoint is None) == (
        config.model.test_cfg.report == ['bicubic'])
    if checkpoint:
        load_backbone(checkpoint)
    write_rows(Path(out).with_suffix('.csv'), rows)


@dataclasses.dataclass
class Finished:
    """A folder with a study that has been done, and what was seen meanwhile."""

    folder: Path
    first_pending: list
    done: list

    def copy_to(self, folder):
        """Copies its state, and its results, beside a plan of the same content."""
        for name in ('state', 'results'):
            shutil.copytree(self.folder / name, folder / name)
        return Study(read_plan(folder / 'plan.py'), folder / 'state')


def write_joint_plan(folder, student, arms):
    """Writes a plan with one joint run of three iterations, and its configs."""
    write_plan(folder)
    config = toy.merged(dict(
        custom_imports=dict(imports=['projects.distillation_study.study.joint']),
        model=dict(type='fdsr.JointStudents', student=student, arms=arms,
                   teacher=dict(checkpoint='nowhere.pth')),
        optim_wrapper={
            'constructor': 'fdsr.GroupOptimWrapperConstructor',
            **{f'{arm}/{group}': toy.adam() for arm in arms
               for group in ('student', 'discriminator')}},
        **toy.loaders(), **toy.runtime('unused', max_iters=3)), {})
    config.pop('work_dir')
    config.default_hooks.checkpoint.interval = 1
    config.default_hooks.logger.log_metric_by_epoch = False
    config.dump(folder / 'joint.py')
    plan = Config.fromfile(folder / 'plan.py').to_dict()
    plan.pop('arms')
    for teacher in plan['teachers']:
        teacher['frozen'] = False
    plan['joints'] = [dict(
        name='toys', config='joint.py', teacher='teacher', options=LEARNS, arms=[
            dict(name='plain', seeds=[0, 1]),
            dict(name='taught', trained_as='output', control='plain', seeds=[0, 1],
                 teacher='teacher'),
            dict(name='adversarial', control='plain', teacher='teacher')])]
    Config(plan).dump(folder / 'plan.py')
    return folder / 'plan.py'
