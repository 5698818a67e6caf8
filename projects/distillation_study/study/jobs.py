"""The jobs of a study."""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from fdsr.engine.config import load_config
from fdsr.evaluation.protocol import read_rows
from fdsr.utils.configs import plain
from fdsr.utils.files import atomic_path
from projects.distillation_study.study.plan import Arm, Plan, in_order
from projects.distillation_study.study.results import (
    is_finished,
    write_curve,
    write_result,
)

Log = Callable[[str], None]


class Study:
    """A plan and the state of its runs.

    The jobs are ``dictionary``, ``features``, ``train:ARM:SEED``, ``joint:RUN:SEED``
    and ``teacher_features:TEACHER``. An arm is finished if its results exist; the jobs
    that it depends on are then not run again.

    Args:
        plan: the plan.
        state: folder of checkpoints, dictionary and frozen features.
    """

    def __init__(self, plan: Plan, state: Path) -> None:
        self.plan, self.state = plan, Path(state)

    # Paths

    @property
    def dictionary(self) -> Path:
        """The dictionary's file."""
        return self.state / 'dictionary.pth'

    def run_folder(self, arm: Arm, seed: int) -> Path:
        """The work directory of a run; that of its joint run if it has one."""
        name = f'joint-{arm.joint}' if arm.joint else arm.name
        return self.state / 'runs' / f'{name}-s{seed}'

    def network(self, arm: Arm, seed: int) -> Path:
        """The finished network of a run."""
        return self.state / 'networks' / f'{arm.name}-s{seed}.pth'

    def features(self, teacher: str | None = None) -> Path:
        """The folder of the students' or a teacher's frozen features."""
        return self.state / 'frozen' / (teacher or 'student')

    # Open jobs

    def pending(self) -> Iterator[str]:
        """Yields the jobs that can start now, the most important first."""
        listed = set()
        for arm, seed in in_order(self.plan):
            if is_finished(self.plan.results, arm.name, seed):
                continue
            for job in self._next_of(arm, seed):
                if job not in listed:
                    listed.add(job)
                    yield job

    def is_done(self) -> bool:
        """Returns True if every arm is finished."""
        return next(self.pending(), None) is None

    def _next_of(self, arm: Arm, seed: int) -> list[str]:
        """Returns the next jobs of a run: those it depends on, or its training."""
        needs = []
        if arm in self.plan.teachers and not self.dictionary.is_file():
            needs.append('dictionary')
        teacher = self._teacher_of(arm)
        if teacher and not self.network(teacher, 0).is_file():
            needs += self._next_of(teacher, 0)
        if arm.start and not self.network(self.plan.arm(arm.start), seed).is_file():
            needs += self._next_of(self.plan.arm(arm.start), seed)
        if arm.frozen and not (self.features() / 'store.json').is_file():
            needs.append('features')
        if needs:
            return needs
        if arm.joint:
            return [f'joint:{arm.joint}:{seed}']
        if self._learns(arm) and not (
                self.features(arm.teacher) / 'store.json').is_file():
            return [f'teacher_features:{arm.teacher}']
        return [f'train:{arm.name}:{seed}']

    def _teacher_of(self, arm: Arm) -> Arm | None:
        """Returns the teacher whose network a run needs."""
        name = self.plan.joint(arm.joint).teacher if arm.joint else arm.teacher
        return self.plan.arm(name) if name else None

    def _learns(self, arm: Arm) -> bool:
        """Returns True if the training reads frozen features of a teacher."""
        return bool(arm.teacher and arm.frozen and 'model.teacher.checkpoint' in
                    arm.options)

    @contextlib.contextmanager
    def locked(self, job: str) -> Iterator[int | None]:
        """Locks a job and yields the lock's file descriptor.

        Yields None if another process has the lock. The lock is held until the last
        process with the descriptor ends, so pass it to the process that runs the job.
        """
        folder = self.state / 'locks'
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f'{job.replace(":", "-")}.lock', 'w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield file.fileno()

    # Running jobs

    def do(self, job: str, common: dict[str, Any], log: Log = print) -> None:
        """Runs a job, or resumes it.

        Args:
            job: a job from ``pending``.
            common: ``data_root`` and ``cfg_options`` for every config.
            log: called with messages on the progress.
        """
        kind, *arguments = job.split(':')
        work = dict(dictionary=self._dictionary, features=self._features,
                    teacher_features=self._teacher_features, train=self._train,
                    joint=self._joint)
        work[kind](*arguments, common=common, log=log)

    def config_of(self, arm: Arm, seed: int, common: dict[str, Any]) -> Config:
        """Returns the config of a run."""
        teacher = self._teacher_of(arm)
        teacher = teacher and str(self.network(teacher, 0))
        start = arm.start and str(self.network(self.plan.arm(arm.start), seed))
        options = {
            key: value.format(teacher=teacher, start=start, dictionary=self.dictionary)
            if isinstance(value, str) else value for key, value in arm.options.items()}
        options['randomness.seed'] = seed
        config = load_config(
            self.plan.folder / arm.config, data_root=common.get('data_root'),
            work_dir=str(self.run_folder(arm, seed)),
            cfg_options={**options, **(common.get('cfg_options') or {})})
        if arm.frozen:
            folders = [self.features()]
            folders += [self.features(arm.teacher)] if self._learns(arm) else []
            config.model.frozen_features = [str(folder) for folder in folders]
        if arm.joint:
            config.model.arms = {
                other.trained_as: config.model.arms[other.trained_as]
                for other in self.plan.arms_of_joint(arm.joint, seed)}
        config.experiment_name = self.run_folder(arm, seed).name
        return config

    def _data_config(self, name: str, job: str, common: dict[str, Any]) -> Config:
        """Returns a config for a job that reads its data only."""
        return load_config(self.plan.folder / name, data_root=common.get('data_root'),
                           work_dir=str(self.state / 'runs' / job),
                           cfg_options=common.get('cfg_options'))

    def _dictionary(self, common: dict[str, Any], log: Log) -> None:
        from fdsr.preparation.dictionary.from_config import build_from_config
        settings = dict(self.plan.dictionary)
        config = self._data_config(settings.pop('config'), 'dictionary', common)
        build_from_config(config, self.dictionary, progress=_no_progress, **settings)

    def _features(self, common: dict[str, Any], log: Log) -> None:
        from fdsr.preparation.feature_cache import freeze_student_features
        arm = next(arm for arm in self.plan.arms if arm.frozen)
        config = self._data_config(arm.config, 'features', common)
        freeze_student_features(config, self.features(), log)

    def _teacher_features(self, name: str, common: dict[str, Any], log: Log) -> None:
        from fdsr.models.restorers.teacher import build_teacher
        from fdsr.preparation.feature_cache import freeze_teacher_features
        arm = self.plan.arm(name)
        config = self._data_config(arm.config, f'{name}_features', common)
        teacher, _ = build_teacher(str(self.network(arm, 0)))
        freeze_teacher_features(
            teacher, self.plan.taps, config, self.features(name), log)

    def _train(self, name: str, seed: str, common: dict[str, Any], log: Log) -> None:
        arm, number = self.plan.arm(name), int(seed)
        config = self.config_of(arm, number, common)
        network: Path | None = self.network(arm, number)
        if 'optim_wrapper' not in config:  # bicubic has no parameters
            network = None
        elif not network.is_file():
            checkpoint = _trained(config, f'{name}, seed {seed}', log)
            with atomic_path(network) as part:
                shutil.copyfile(checkpoint, part)
        self._evaluate(arm, number, network, config, log)

    def _joint(self, name: str, seed: str, common: dict[str, Any], log: Log) -> None:
        """Trains the arms of a joint run, and writes network and results of each."""
        from fdsr.models.files.checkpoints import load_backbone, save_backbone
        number = int(seed)
        arms = self.plan.arms_of_joint(name, number)
        config = self.config_of(arms[0], number, common)
        if not all(self.network(arm, number).is_file() for arm in arms):
            checkpoint = _trained(config, f'{name}, seed {seed}', log)
            for arm in arms:
                network = load_backbone(checkpoint, arm.trained_as)
                path = self.network(arm, number)
                path.parent.mkdir(parents=True, exist_ok=True)
                save_backbone(network, plain(config.model.student), path)
        for arm in arms:
            if not is_finished(self.plan.results, arm.name, number):
                # The tester measures the network in the arm's own file.
                own = Config(config.to_dict())
                own.model = dict(generator=config.model.student,
                                 test_cfg=dict(report=[arm.name]))
                self._evaluate(arm, number, self.network(arm, number), own, log)

    def _evaluate(self, arm: Arm, seed: int, network: Path | None, config: Config,
                  log: Log) -> None:
        """Tests a finished network and writes the results."""
        from fdsr.evaluation.testing import run_test
        rows = []
        for which, loader in (('val', 'val_dataloader'), ('test', 'test_dataloader')):
            log(f'{arm.name}, seed {seed}: testing on {which}')
            settings = Config(config.to_dict())
            settings.test_dataloader = config[loader]
            settings.experiment_name = f'{arm.name}-s{seed}-{which}'
            if which == 'test':
                settings.log_level = 'WARNING'  # does not show the means
            name = f'{arm.name}-{which}.json' if arm.joint else f'{which}.json'
            out = self.run_folder(arm, seed) / name
            run_test(settings, network and str(network), out)
            rows += [{'list': which, **{key: value for key, value in row.items()
                                        if key != 'model'}}
                     for row in read_rows(out.with_suffix('.csv'))]
        curve = curve_of(config.work_dir, arm.trained_as)
        if curve:
            write_curve(self.plan.results, arm.name, seed, curve)
        write_result(self.plan.results, arm.name, seed, rows)


def _no_progress(num_faces: int) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext(lambda step, faces: None)


def _trained(config: Config, name: str, log: Log) -> Path:
    """Trains a run, or resumes it, and returns its last checkpoint."""
    from fdsr.engine.launch import build_runner
    folder = Path(config.work_dir)
    config.resume = (folder / 'last_checkpoint').is_file()
    log(f'{name}: {"resuming" if config.resume else "training"}')
    build_runner(config).train()
    return folder / (folder / 'last_checkpoint').read_text().strip()


def curve_of(work_dir: str, arm: str | None = None) -> list[dict[str, Any]]:
    """Returns the logged values by iteration; the last log of an iteration counts.

    Args:
        work_dir: work directory of the run.
        arm: name of an arm in a joint run, to select its values.
    """
    curve: dict[int, dict[str, Any]] = {}
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text(encoding='utf-8').splitlines():
            entry = json.loads(line)
            values = _logged(entry if arm is None else _of_arm(entry, arm))
            if values:
                curve.setdefault(entry['step'], {}).update(values)
    return [dict(iteration=step, **curve[step]) for step in sorted(curve)]


def _of_arm(entry: dict[str, Any], arm: str) -> dict[str, Any]:
    """Returns the losses of an arm without its name, and its validation results."""
    return {key.removeprefix(f'{arm}.'): value for key, value in entry.items()
            if key.startswith((f'{arm}.', f'{arm}/')) and not key.endswith('.lr')}


def _logged(entry: dict[str, Any]) -> dict[str, float]:
    values = {key: value for key, value in entry.items()
              if key.startswith(('loss_', 'd_'))}
    for key, value in entry.items():
        model, slash, metric = key.partition('/')
        if slash and model != 'bicubic':
            values[f'val/{metric}'] = value
    return values
