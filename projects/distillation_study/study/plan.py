"""The plan of a study: its arms and their order."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdsr.utils.configs import read_config


@dataclass(frozen=True)
class Arm:
    """A training recipe, run once for each of its seeds.

    Args:
        name: its name in file names.
        config: its training config, relative to the plan's folder.
        label: its name in tables.
        group: group of arms in tables.
        seeds: seeds of the initial weights and the order of the data; arms with the
            same seed start equally.
        control: name of the arm to compare it with.
        beside: names of further arms to compare it with.
        teacher: name of the teacher that it learns from, or starts from.
        start: name of the arm whose network of the same seed it starts from.
        options: values of the config by dotted key. ``{teacher}`` is replaced by the
            teacher's checkpoint, ``{start}`` by that of the arm it starts from.
        frozen: read frozen features from disk.
        joint: name of the joint run that trains it; its other arms share the batches.
        trained_as: name of the arm in the config of the joint run.
    """

    name: str
    config: str
    label: str = ''
    group: str = 'single'
    seeds: list[int] = field(default_factory=lambda: [0])
    control: str | None = None
    beside: list[str] = field(default_factory=list)
    teacher: str | None = None
    start: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    frozen: bool = True
    joint: str | None = None
    trained_as: str | None = None

    def described(self) -> dict[str, Any]:
        """Returns the entry for ``report.arms_of``."""
        return dict(name=self.name, label=self.label or self.name, group=self.group,
                    control=self.control, beside=self.beside, teacher=self.teacher,
                    seeds=self.seeds)


@dataclass(frozen=True)
class Joint:
    """A run that trains several arms on the same batches, see ``JointStudents``.

    Args:
        name: its name in file names.
        config: its training config, relative to the plan's folder.
        teacher: name of the teacher that the arms share; None if they have none.
        options: as for :class:`Arm`.
    """

    name: str
    config: str
    teacher: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A study.

    Args:
        folder: folder of the plan's file; paths of configs are relative to it.
        results: folder of the results.
        document: page that the report is written to.
        dictionary: arguments of ``tools/build_dictionary.py`` by name, with ``config``.
        teachers: arms whose networks others learn from; seed 0 only.
        taps: features of the teachers that are stored on disk.
        arms: the arms in order of importance.
        joints: the joint runs. In the plan's file each has a list ``arms``, whose
            entries have the keys of :class:`Arm` and, if its name in the run's config
            differs, ``trained_as``. A joint run with a seed trains the arms that have
            this seed. These arms follow the plan's other arms.
        questions: what the plots of ``question_plots`` show.
    """

    folder: Path
    results: Path
    document: Path
    dictionary: dict[str, Any]
    teachers: list[Arm]
    taps: list[str]
    arms: list[Arm]
    joints: list[Joint] = field(default_factory=list)
    questions: dict[str, Any] = field(default_factory=dict)

    def arm(self, name: str) -> Arm:
        """Returns an arm or a teacher."""
        return next(arm for arm in self.teachers + self.arms if arm.name == name)

    def described(self) -> dict[str, Any]:
        """Returns the plan for ``report`` and ``plots``."""
        return dict(arms=[arm.described() for arm in self.teachers + self.arms],
                    questions=self.questions)

    def joint(self, name: str) -> Joint:
        """Returns a joint run."""
        return next(joint for joint in self.joints if joint.name == name)

    def arms_of_joint(self, name: str, seed: int) -> list[Arm]:
        """Returns the arms that a joint run with a seed trains."""
        return [arm for arm in self.arms if arm.joint == name and seed in arm.seeds]


def read_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: two arms have the same name, an arm names an unknown arm or teacher,
            or an option uses the checkpoint of a teacher or start that is not named.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'There is no plan at {path}.')
    content = read_config(path).to_dict()
    teachers = [Arm(group='reference', **arm) for arm in content['teachers']]
    arms = [Arm(**arm) for arm in content.get('arms', [])]
    joints = []
    for entry in content.get('joints', []):
        trained = entry.pop('arms')
        joint = Joint(**entry)
        joints.append(joint)
        arms += [Arm(**{
            'config': joint.config, 'options': joint.options, 'joint': joint.name,
            'trained_as': arm['name'], **arm, 'frozen': False}) for arm in trained]
    names = [arm.name for arm in teachers + arms]
    known_teachers = [arm.name for arm in teachers]
    for joint in joints:
        if joint.teacher not in [None, *known_teachers] or [
                one.name for one in joints].count(joint.name) > 1:
            raise ValueError(
                f'{path}: the joint run {joint.name} needs a unique name and one of '
                f'the teachers {", ".join(known_teachers)}, found {joint.teacher!r}.')
    for arm in teachers + arms:
        named = [('control', arm.control), ('teacher', arm.teacher),
                 ('start', arm.start)]
        for what, other in named + [('beside', name) for name in arm.beside]:
            known = known_teachers if what == 'teacher' else names
            if names.count(arm.name) > 1 or (other and other not in known):
                raise ValueError(
                    f'{path}: the {what} of {arm.name} is {other!r}; the names of the '
                    f'plan are {", ".join(names)}, and each has to be unique.')
        for what, other in named[1:]:
            place = f'{{{what}}}'
            if not other and not (arm.joint and what == 'teacher') and any(
                    place in str(value) for value in arm.options.values()):
                raise ValueError(f'{path}: an option of {arm.name} has {place}, but '
                                 f'the arm has no {what}: give it {what}=NAME.')
    return Plan(
        Path(path).parent, Path(content['results']), Path(content['document']),
        content['dictionary'], teachers, content.get('taps', []), arms, joints,
        content.get('questions', {}))


def in_order(plan: Plan) -> list[tuple[Arm, int]]:
    """Returns every arm and seed of a plan: the first seeds of all arms, then the next.

    The teachers are last, because each is trained as soon as an arm needs it.
    """
    last = max(len(arm.seeds) for arm in plan.arms)
    runs = [(arm, arm.seeds[position]) for position in range(last)
            for arm in plan.arms if position < len(arm.seeds)]
    return runs + [(teacher, 0) for teacher in plan.teachers]
