"""What a study consists of, and in which order it is done."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config


@dataclass(frozen=True)
class Arm:
    """One recipe, trained once for each of its seeds.

    Args:
        name: in file names.
        label: in tables.
        config: that trains it, from the plan's folder.
        group: arms of one table.
        seeds: of the initial weights and the order of the data: arms of the same seed
            start alike.
        control: name of the arm that it is compared with.
        beside: names of further arms that it is compared with.
        teacher: name of the teacher that it learns from, or starts from.
        start: name of the arm whose network of the same seed it starts from.
        options: values of the config by dotted key; ``{teacher}`` stands for the
            teacher's checkpoint, ``{start}`` for the one that it starts from.
        frozen: whether frozen features are read from disk.
    """

    name: str
    config: str
    label: str = ''
    group: str = 'single'
    seeds: List[int] = field(default_factory=lambda: [0])
    control: Optional[str] = None
    beside: List[str] = field(default_factory=list)
    teacher: Optional[str] = None
    start: Optional[str] = None
    options: Dict[str, Any] = field(default_factory=dict)
    frozen: bool = True

    def described(self) -> Dict[str, Any]:
        """What the report wants to know of it."""
        return dict(name=self.name, label=self.label or self.name, group=self.group,
                    control=self.control, beside=self.beside, teacher=self.teacher,
                    seeds=self.seeds)


@dataclass(frozen=True)
class Plan:
    """A study.

    Args:
        folder: of the plan's file; configs are named from there.
        results: folder of the results that are kept.
        document: that the report is written into.
        dictionary: arguments of ``tools/build_dictionary.py`` by name, ``config`` among
            them.
        teachers: arms whose networks others learn from; their first seed is taken.
        taps: the teachers' features that are kept on disk.
        arms: in order of importance.
    """

    folder: Path
    results: Path
    document: Path
    dictionary: Dict[str, Any]
    teachers: List[Arm]
    taps: List[str]
    arms: List[Arm]

    def arm(self, name: str) -> Arm:
        """The arm or teacher of a name."""
        return next(arm for arm in self.teachers + self.arms if arm.name == name)


def read_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an arm is named twice, names an arm or teacher that is not there,
            or has an option with the checkpoint of one that it does not name.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'There is no plan at {path}.')
    content = Config.fromfile(path).to_dict()
    teachers = [Arm(group='reference', **arm) for arm in content['teachers']]
    arms = [Arm(**arm) for arm in content['arms']]
    names = [arm.name for arm in teachers + arms]
    known_teachers = [arm.name for arm in teachers]
    for arm in teachers + arms:
        named = [('control', arm.control), ('teacher', arm.teacher),
                 ('start', arm.start)]
        for what, wanted in named + [('beside', other) for other in arm.beside]:
            known = known_teachers if what == 'teacher' else names
            if names.count(arm.name) > 1 or (wanted and wanted not in known):
                raise ValueError(
                    f'{path}: the {what} of {arm.name} is {wanted!r}; the names of the '
                    f'plan are {", ".join(names)}, and each has to be there once.')
        for what, named_by_it in named[1:]:
            place = f'{{{what}}}'
            if not named_by_it and any(
                    place in str(value) for value in arm.options.values()):
                raise ValueError(f'{path}: an option of {arm.name} has {place}, but '
                                 f'the arm has no {what}: give it {what}=NAME.')
    return Plan(
        Path(path).parent, Path(content['results']), Path(content['document']),
        content['dictionary'], teachers, content['taps'], arms)


def in_order(plan: Plan) -> List[Tuple[Arm, int]]:
    """Every arm and seed of a plan: first all arms' first seeds, then the next.

    The teachers stand last: each is trained as soon as an arm needs it.
    """
    last = max(len(arm.seeds) for arm in plan.arms)
    runs = [(arm, arm.seeds[position]) for position in range(last)
            for arm in plan.arms if position < len(arm.seeds)]
    return runs + [(teacher, 0) for teacher in plan.teachers]
