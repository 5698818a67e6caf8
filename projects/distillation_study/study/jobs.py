"""What there is to do of a study, and doing it."""

import contextlib
import fcntl
import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

from mmengine.config import Config

from fdsr.engine.config import load_config
from fdsr.evaluation.protocol import read_rows
from fdsr.utils.files import atomic_path
from projects.distillation_study.study.plan import Arm, Plan, in_order
from projects.distillation_study.study.results import (
    is_finished,
    write_curve,
    write_result,
)

Log = Callable[[str], None]
_SEPARATOR = ':'


class Study:
    """A plan and the state that its runs leave.

    A job is named by a word and its arguments: ``dictionary``, ``features``,
    ``train:ARM:SEED``, ``teacher_features:TEACHER``. An arm is finished when its
    results are there; then nothing that it needs is made again.

    Args:
        plan: what is to be done.
        state: folder of checkpoints, dictionary and frozen features.
    """

    def __init__(self, plan: Plan, state: Path) -> None:
        self.plan, self.state = plan, Path(state)

    # Where things are

    @property
    def dictionary(self) -> Path:
        """The dictionary's file."""
        return self.state / 'dictionary.pth'

    def run_folder(self, arm: Arm, seed: int) -> Path:
        """Where an arm is trained."""
        return self.state / 'runs' / f'{arm.name}-s{seed}'

    def network(self, arm: Arm, seed: int) -> Path:
        """An arm's finished network."""
        return self.state / 'networks' / f'{arm.name}-s{seed}.pth'

    def features(self, teacher: Optional[str] = None) -> Path:
        """The folder of frozen features, of the students' or of a teacher's."""
        return self.state / 'frozen' / (teacher or 'student')

    # What is to be done

    def pending(self) -> Iterator[str]:
        """Jobs that could be begun now, the most important first."""
        listed = set()
        for arm, seed in in_order(self.plan):
            if is_finished(self.plan.results, arm.name, seed):
                continue
            for job in self._next_of(arm, seed):
                if job not in listed:
                    listed.add(job)
                    yield job

    def is_done(self) -> bool:
        """Whether every arm is finished."""
        return next(self.pending(), None) is None

    def _next_of(self, arm: Arm, seed: int) -> List[str]:
        """What has to be done next for an arm: what it needs, or itself."""
        needs = []
        if arm in self.plan.teachers and not self.dictionary.is_file():
            needs.append('dictionary')
        if arm.teacher and not self.network(self.plan.arm(arm.teacher), 0).is_file():
            needs += self._next_of(self.plan.arm(arm.teacher), 0)
        if arm.start and not self.network(self.plan.arm(arm.start), seed).is_file():
            needs += self._next_of(self.plan.arm(arm.start), seed)
        if arm.frozen and not (self.features() / 'store.json').is_file():
            needs.append('features')
        if needs:
            return needs
        if self._learns(arm) and not (
                self.features(arm.teacher) / 'store.json').is_file():
            return [_SEPARATOR.join(('teacher_features', arm.teacher))]
        return [_SEPARATOR.join(('train', arm.name, str(seed)))]

    def _learns(self, arm: Arm) -> bool:
        """Whether an arm reads its teacher's features while it is trained."""
        return bool(arm.teacher and arm.frozen and 'model.teacher.checkpoint' in
                    arm.options)

    @contextlib.contextmanager
    def locked(self, job: str) -> Iterator[Optional[int]]:
        """Keeps other processes from a job; None if it is another's.

        Otherwise the lock's file descriptor. The lock lasts until the last process that
        has the descriptor ends, however it ends: hand it to the one that does the job.
        """
        folder = self.state / 'locks'
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f'{job.replace(_SEPARATOR, "-")}.lock', 'w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield file.fileno()

    # Doing it

    def do(self, job: str, common: Dict[str, Any], log: Log = print) -> None:
        """Does a job, or goes on with it.

        Args:
            job: as ``pending`` names it.
            common: ``data_root`` and ``cfg_options`` for every config.
            log: told what is done.
        """
        kind, *arguments = job.split(_SEPARATOR)
        work = dict(dictionary=self._dictionary, features=self._features,
                    teacher_features=self._teacher_features, train=self._train)
        work[kind](*arguments, common=common, log=log)

    def config_of(self, arm: Arm, seed: int, common: Dict[str, Any]) -> Config:
        """The config of an arm's run."""
        teacher = arm.teacher and str(self.network(self.plan.arm(arm.teacher), 0))
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
        config.experiment_name = f'{arm.name}-s{seed}'
        return config

    def _dictionary(self, common: Dict[str, Any], log: Log) -> None:
        from fdsr.preparation.dictionary.from_config import build_from_config
        settings = dict(self.plan.dictionary)
        config = load_config(self.plan.folder / settings.pop('config'),
                             data_root=common.get('data_root'),
                             work_dir=str(self.state / 'runs' / 'dictionary'))
        build_from_config(config, self.dictionary, progress=_Silent, **settings)

    def _features(self, common: Dict[str, Any], log: Log) -> None:
        from fdsr.preparation.feature_cache import freeze_student_features
        arm = next(arm for arm in self.plan.arms if arm.frozen)
        config = load_config(self.plan.folder / arm.config,
                             data_root=common.get('data_root'),
                             work_dir=str(self.state / 'runs' / 'features'))
        freeze_student_features(config, self.features(), log)

    def _teacher_features(self, name: str, common: Dict[str, Any], log: Log) -> None:
        from fdsr.models.restorers.teacher import build_teacher
        from fdsr.preparation.feature_cache import freeze_teacher_features
        arm = self.plan.arm(name)
        config = load_config(self.plan.folder / arm.config,
                             data_root=common.get('data_root'),
                             work_dir=str(self.state / 'runs' / f'{name}_features'))
        teacher, _ = build_teacher(str(self.network(arm, 0)))
        freeze_teacher_features(
            teacher, self.plan.taps, config, self.features(name), log)

    def _train(self, name: str, seed: str, common: Dict[str, Any], log: Log) -> None:
        from fdsr.engine.launch import build_runner
        arm, number = self.plan.arm(name), int(seed)
        config = self.config_of(arm, number, common)
        network: Optional[Path] = self.network(arm, number)
        if 'optim_wrapper' not in config:  # bicubic up-sampling has nothing to train
            network = None
        elif not network.is_file():
            folder = Path(config.work_dir)
            config.resume = (folder / 'last_checkpoint').is_file()
            log(f'{name}, seed {seed}: {"going on" if config.resume else "training"}')
            build_runner(config).train()
            last = Path((folder / 'last_checkpoint').read_text().strip())
            _publish(last, network)
        self._evaluate(arm, number, network, config, log)

    def _evaluate(self, arm: Arm, seed: int, network: Optional[Path], config: Config,
                  log: Log) -> None:
        """Measures a finished network and keeps the results."""
        from fdsr.evaluation.testing import run_test
        rows = []
        for which, loader in (('val', 'val_dataloader'), ('test', 'test_dataloader')):
            log(f'{arm.name}, seed {seed}: measuring on {which}')
            settings = Config(config.to_dict())
            settings.test_dataloader = config[loader]
            settings.experiment_name = f'{arm.name}-s{seed}-{which}'
            out = self.run_folder(arm, seed) / f'{which}.json'
            run_test(settings, network and str(network), out)
            rows += [{'list': which, **{key: value for key, value in row.items()
                                        if key != 'model'}}
                     for row in read_rows(out.with_suffix('.csv'))]
        curve = curve_of(config.work_dir)
        if curve:
            write_curve(self.plan.results, arm.name, seed, curve)
        write_result(self.plan.results, arm.name, seed, rows)


class _Silent:
    """A progress that nobody sees."""

    def __init__(self, num_faces: int) -> None:
        del num_faces

    def __enter__(self) -> Callable[[str, int], None]:
        return lambda step, faces: None

    def __exit__(self, *_: object) -> None:
        pass


def curve_of(work_dir: str) -> List[Dict[str, Any]]:
    """What a run logged, by iteration; of a part that was run twice, the later run."""
    curve: Dict[int, Dict[str, Any]] = {}
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text(encoding='utf-8').splitlines():
            entry = json.loads(line)
            kept = _kept(entry)
            if kept:
                curve.setdefault(entry['step'], {}).update(kept)
    return [dict(iteration=step, **curve[step]) for step in sorted(curve)]


def _kept(entry: Dict[str, Any]) -> Dict[str, float]:
    kept = {key: value for key, value in entry.items()
            if key.startswith(('loss_', 'd_'))}
    for key, value in entry.items():
        model, slash, metric = key.partition('/')
        if slash and model != 'bicubic':
            kept[f'val/{metric}'] = value
    return kept


def _publish(checkpoint: Path, network: Path) -> None:
    with atomic_path(network) as part:
        shutil.copyfile(checkpoint, part)
