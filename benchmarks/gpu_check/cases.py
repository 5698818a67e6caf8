"""The networks to measure: the shipped configs at full size, and their miniatures.

A case is the path of a config and the values in which it differs from the file, so it
can be sent to another process as JSON.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PRECISIONS = ('fp32', 'bf16', 'fp16')
MODES = ('eager', 'compile')
#: Why fp16 is left out on a CPU.
NO_FP16 = dict(training='AmpOptimWrapper, which scales the gradients, needs a GPU',
               inference='measured on a GPU only')
RANDOM_WEIGHTS = (
    'random VGG-19 weights and random dictionary atoms: speed and memory only, no '
    'quality figure')
#: Random atoms as the config has them would be drawn and saved on the CPU: 1.5 GiB.
#: ``networks.fill_dictionaries`` creates them on the device instead.
_ONE_ATOM = dict(_delete_=True, num_atoms=1, dtype='float16')


@dataclass(frozen=True)
class Case:
    """A config to measure.

    Args:
        name: in the tables.
        config: path of the file.
        options: values by dotted key that replace the file's.
        compiled: paths of the modules that ``torch.compile`` gets, from the restorer
            on; ``*`` stands for one segment.
        num_atoms: of each component and level of a teacher's dictionary.
        teacher: for a distillation, the case whose untrained network is its teacher.
        batch_size: of training; None: the config's.
    """

    name: str
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    compiled: tuple[str, ...] = ()
    num_atoms: int = 512
    teacher: 'Case | None' = None
    batch_size: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> 'Case':
        """Undoes ``to_dict``."""
        teacher = values['teacher']
        return cls(**{**values, 'compiled': tuple(values['compiled']),
                      'teacher': cls.from_dict(teacher) if teacher else None})


# No part contains a module that a step attaches hooks to: torch.compile would keep the
# hooks of the first step. The transfer, whose shapes depend on the boxes, stays eager.
_DECODER = ('decoder.bottleneck', 'decoder.stages.*', 'decoder.tail')
_COMPILED = {
    'teacher': ('generator.encoder', 'generator.decoder'),
    'distill': ('teacher.encoder', *(f'{network}.{part}' for network in (
        'teacher', 'student') for part in _DECODER), 'discriminator.*'),
    'student': ('generator',),
    # compiled once: the code serves all 200 blocks
    'rcan': ('generator.body.*.blocks.*',),
}
#: Tracing a whole decoder takes a CPU five seconds.
_COMPILED_IN_MINIATURE = {
    'teacher': ('generator.decoder.tail.2',),
    'distill': ('discriminator.*',),
    'student': ('generator.decoder.tail.0',),
    'rcan': _COMPILED['rcan'],
}


def full_cases(root: Path) -> dict[str, Case]:
    """Returns the full-size configs, 32 to 256 px.

    Args:
        root: the folder that has ``configs``.
    """
    loss = {'model.perceptual_loss.pretrained': None}
    generator = {'model.generator.encoder.pretrained': None, **loss}
    teacher = _case(root, 'teacher', 'teacher_vggface2', {
        **generator, 'model.generator.dictionary': _ONE_ATOM})
    return {
        'teacher': teacher,
        'distill': _case(
            root, 'distill', 'distill_vggface2',
            {'model.student.encoder.pretrained': None, **loss}, teacher=teacher),
        'student': _case(root, 'student', 'student_vggface2', generator),
        'rcan': _case(root, 'rcan', 'rcan_vggface2', {}),
    }


def miniature_cases(root: Path) -> dict[str, Case]:
    """Returns the same configs at 32 px, so small that a CPU step takes a fraction of a
    second."""
    def case(*args: Any, **rest: Any) -> Case:
        return _case(root, *args, batch_size=2, compiled=_COMPILED_IN_MINIATURE, **rest)

    small = dict(type='fdsr.TinyEncoder', frozen=True)
    data = {'train_dataloader.dataset.size': 32, 'model.perceptual_loss': dict(
        encoder='vgg16', pretrained=None, window=16, layers={'relu1_1': 1.0})}
    generator = {**data, 'model.generator.encoder': small, 'model.generator.width': 0.1}
    teacher = case('teacher', 'teacher_vggface2', {
        **generator, 'model.generator.dictionary': _ONE_ATOM,
        'model.generator.size': 32}, num_atoms=2)
    return {
        'teacher': teacher,
        'distill': case(
            'distill', 'distill_vggface2',
            {**data, 'model.student.encoder': small, 'model.student.width': 0.1,
             'model.teacher.expect.size': 32,
             'model.teacher.expect.encoder.arch': 'tiny',
             'model.discriminator.base_channels': 8, 'model.discriminator.depth': 2},
            teacher=teacher, num_atoms=2),
        'student': case('student', 'student_vggface2', generator),
        'rcan': case(
            'rcan', 'rcan_vggface2',
            {'train_dataloader.dataset.size': 32, 'model.generator.channels': 8,
             'model.generator.reduction': 4, 'model.generator.groups': 2,
             'model.generator.blocks': 2}),
    }


def _case(root: Path, name: str, config: str, options: dict[str, Any],
          compiled: dict[str, tuple[str, ...]] = _COMPILED, **rest: Any) -> Case:
    return Case(name, str(root / 'configs' / f'{config}.py'), options,
                compiled[name], **rest)


def inference_networks(cases: dict[str, Case], root: Path,
                       miniature: bool) -> dict[str, Case]:
    """Returns the networks whose inference is timed: student, compact and rcan."""
    options = {'model.generator.channels': 8, 'model.generator.blocks': 2,
               'model.generator.stage_channels': [8, 8, 8]} if miniature else {}
    compact = Case('compact', str(root / 'configs' / 'compact' / 'student.py'),
                   {**options, 'train_dataloader.dataset.size': 32 if miniature
                    else 256})
    found = {'student': cases.get('student'), 'compact': compact,
             'rcan': cases.get('rcan')}
    return {name: case for name, case in found.items() if case is not None}
