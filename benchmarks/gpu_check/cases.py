"""The networks to measure: the shipped configs at full size and in miniature."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

PRECISIONS = ('fp32', 'bf16', 'fp16')
RANDOM_WEIGHTS = (
    'random VGG-19 weights and random dictionary atoms: speed and memory only, no '
    'quality figure')
#: A config's own random atoms would be created and saved on the CPU: 1.5 GiB.
#: ``networks.fill_dictionaries`` creates them on the device instead.
_ONE_ATOM = dict(_delete_=True, num_atoms=1, dtype='float16')


@dataclass(frozen=True)
class Case:
    """A config to measure. It can be sent to another process."""

    name: str
    config: str  #: path of the file
    #: values by dotted key that override the file's
    options: dict[str, Any] = field(default_factory=dict)
    #: modules of the restorer that are compiled; ``*`` stands for one path segment
    compiled: tuple[str, ...] = ()
    num_atoms: int = 512  #: for each component and level of the teacher's dictionary
    teacher: 'Case | None' = None  #: its untrained network is distilled
    batch_size: int | None = None  #: of training; None: the config's


# No path contains a module that a training step attaches hooks to: torch.compile would
# keep the hooks of the first step. The feature transfer stays eager because its shapes
# depend on the boxes.
_DECODER = ('decoder.bottleneck', 'decoder.stages.*', 'decoder.tail')
_COMPILED = {
    'teacher': ('generator.encoder', 'generator.decoder'),
    'distill': ('teacher.encoder', *(f'{network}.{module}' for network in (
        'teacher', 'student') for module in _DECODER), 'discriminator.*'),
    'student': ('generator',),
    # one compilation serves all 200 blocks
    'rcan': ('generator.body.*.blocks.*',),
}
#: Tracing a whole decoder takes five seconds on a CPU.
_COMPILED_IN_MINIATURE = {
    'teacher': ('generator.decoder.tail.2',),
    'distill': ('discriminator.*',),
    'student': ('generator.decoder.tail.0',),
    'rcan': _COMPILED['rcan'],
}


def full_cases(root: Path) -> dict[str, Case]:
    """Returns the full-size configs, 32 to 256 px, of the repository at ``root``."""
    case = partial(_case, root, _COMPILED)
    loss = {'model.perceptual_loss.pretrained': None}
    generator = {'model.generator.encoder.pretrained': None, **loss}
    return _cases(
        case, teacher={**generator, 'model.generator.dictionary': _ONE_ATOM},
        distill={'model.student.encoder.pretrained': None, **loss},
        student=generator, rcan={})


def miniature_cases(root: Path) -> dict[str, Case]:
    """Returns the same configs at 32 px: a step on a CPU takes less than a second."""
    case = partial(_case, root, _COMPILED_IN_MINIATURE, batch_size=2, num_atoms=2)
    small = dict(_delete_=True, type='fdsr.TinyEncoder', frozen=True)
    size = {'train_dataloader.dataset.size': 32}
    data = {**size, 'model.perceptual_loss': dict(
        encoder='vgg16', pretrained=None, window=16, layers={'relu1_1': 1.0})}
    generator = {**data, 'model.generator.encoder': small, 'model.generator.width': 0.1}
    return _cases(
        case,
        teacher={**generator, 'model.generator.dictionary': _ONE_ATOM,
                 'model.generator.size': 32},
        distill={**data, 'model.student.encoder': small, 'model.student.width': 0.1,
                 'model.teacher.expect': None, 'model.discriminator.base_channels': 8,
                 'model.discriminator.depth': 2},
        student=generator,
        rcan={**size, 'model.generator.channels': 8, 'model.generator.reduction': 4,
              'model.generator.groups': 2, 'model.generator.blocks': 2})


def _case(root: Path, compiled: dict[str, tuple[str, ...]], name: str,
          options: dict[str, Any], **rest: Any) -> Case:
    config = root / 'configs' / f'{name}_vggface2.py'
    return Case(name, str(config), options, compiled[name], **rest)


def _cases(case: Callable[..., Case], **options: dict[str, Any]) -> dict[str, Case]:
    teacher = case('teacher', options.pop('teacher'))
    distill = case('distill', options.pop('distill'), teacher=teacher)
    return {'teacher': teacher, 'distill': distill,
            **{name: case(name, values) for name, values in options.items()}}


def inference_networks(cases: dict[str, Case], root: Path,
                       miniature: bool) -> dict[str, Case]:
    """Returns the networks whose inference is timed: student, compact and rcan."""
    options = {'model.generator.channels': 8, 'model.generator.blocks': 2,
               'model.generator.stage_channels': [8, 8, 8]} if miniature else {}
    compact = Case('compact', str(root / 'configs' / 'compact' / 'student.py'),
                   {**options, 'train_dataloader.dataset.size': 32 if miniature
                    else 256})
    networks = {**cases, 'compact': compact}
    return {name: networks[name] for name in ('student', 'compact', 'rcan')
            if name in networks}
