"""Recognizes fdsr's networks by the names and shapes of their values.

Other programs load a state dict without its description. The arguments of a network are
read from the shapes; the network is recognized only if every name and every shape of
the state dict equals one of its own.

Shapes do not reveal the steps of ``SRFBN``, the scale of ``DistilledStudent`` and the
``alpha`` of ``ProgressiveFSR``. ``member_name`` adds this argument to the name of the
network in a published file, which is the prefix of its values: ``generator_steps_4``,
``generator_scale_8``, ``generator_alpha_0_25``.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fdsr.interchange.conversion.baselines import (
    mean_shift,
    srfbn_config,
    srfbn_names,
)
from fdsr.models.backbones import DistilledStudent
from fdsr.models.backbones.encoder import layout_of
from fdsr.models.files import Budget, build_network
from fdsr.models.vgg import layer_channels

State = Mapping[str, Tensor]

#: Arguments that shapes do not reveal.
_HIDDEN = {'SRFBN': 'steps', 'DistilledStudent': 'scale', 'ProgressiveFSR': 'alpha'}
#: A point ends the name of a network, so an underscore takes its place in a number.
_MEMBER = re.compile(r'\w+?(?:_(steps|scale|alpha)_(\d{1,3}(?:[_e][\de-]{1,24})?))?')


@dataclass(frozen=True)
class Recognized:
    """A network found in a state dict.

    Args:
        config: config that builds the network; without the argument that shapes do not
            reveal if the state dict does not state it, see ``missing``.
        values: its values by name, without a prefix.
        missing: name of this argument, or None.
    """

    config: dict[str, Any]
    values: dict[str, Tensor]
    missing: str | None = None

    def build(self) -> nn.Module:
        """Returns the network in eval mode, with initial values."""
        return build_network('The state dict', self.config,
                             Budget.of(self.values)).eval()


def member_name(network: nn.Module) -> str:
    """Returns the name of a network in a published file."""
    argument = _HIDDEN.get(type(network).__name__)
    if argument is None:
        return 'generator'
    return f'generator_{argument}_{getattr(network, argument)}'.replace('.', '_')


def recognize(kind: str, state: Mapping[str, Any]) -> Recognized | None:
    """Returns the network of a state dict, or None if it is not of this kind.

    Args:
        kind: a key of ``READERS``.
        state: values by name, possibly with one common prefix such as ``generator.``.
    """
    if not state or not all(isinstance(key, str) and isinstance(value, Tensor)
                            for key, value in state.items()):
        return None
    member, values = _split(state)
    try:
        if kind == 'SRFBN' and 'conv_out.0.weight' in values:
            return _authors_srfbn(values)
        config = dict(type=f'fdsr.{kind}', **READERS[kind](values))
        argument, missing = _HIDDEN.get(kind), None
        if argument is not None:
            stated = _MEMBER.fullmatch(member)
            if stated is not None and stated[1] == argument:
                config[argument] = _number(stated[2])
            else:
                missing = argument
        found = Recognized(config, values, missing)
        own = found.build().state_dict()
    except Exception:  # a file of another project is for spandrel's other detectors
        return None
    return found if _shapes(own) == _shapes(values) else None


def _number(text: str) -> int | float:
    """Reads a number of ``member_name``."""
    return int(text) if text.isdecimal() else float(text.replace('_', '.'))


def _split(state: State) -> tuple[str, dict[str, Tensor]]:
    """Returns the prefix that all names share, without its dot, and the values."""
    members = {key.partition('.')[0] for key in state}
    if len(members) > 1 or not all('.' in key for key in state):
        return '', dict(state)
    [member] = members
    return member, {key[len(member) + 1:]: value for key, value in state.items()}


def _shapes(state: State) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in state.items()}


def _authors_srfbn(state: State) -> Recognized | None:
    """Recognizes SRFBN in the authors' names; all of their models unroll four steps."""
    config = srfbn_config(dict(state))
    own = Recognized(config, dict(state)).build().state_dict()
    names = {key: srfbn_names(key, config)[0] for key in own}
    constants = {key: value for key, value in mean_shift().items() if key in state}
    expected = {names[key]: value.shape for key, value in own.items()}
    expected |= _shapes(constants)
    # half precision rounds the mean, which is in [0, 255]
    if _shapes(state) != expected or not all(
            torch.allclose(state[key].cpu().float(), value, rtol=5e-3)
            for key, value in constants.items()):
        return None
    return Recognized(config, {key: state[name] for key, name in names.items()})


def _count(state: State, prefix: str) -> int:
    """Returns the number of children of ``nn.Sequential`` or ``nn.ModuleList``."""
    return len({key[len(prefix):].partition('.')[0] for key in state
                if key.startswith(prefix)})


def _rows(state: State, name: str) -> int:
    return state[f'{name}.weight'].shape[0]


def _shuffled_scale(state: State) -> int:
    """Returns the scale of one pixel shuffle to RGB."""
    return math.isqrt(_rows(state, 'to_rgb') // 3)


def _rep_sr(state: State) -> dict[str, Any]:
    stages = range(_count(state, 'stages.'))
    return dict(
        scale=2**(len(stages) + 1), channels=_rows(state, 'head'),
        blocks=_count(state, 'body.'),
        stage_channels=[_rows(state, f'stages.{stage}.up') // 4 for stage in stages],
        stage_blocks=[_count(state, f'stages.{stage}.blocks.') for stage in stages],
        context_channels=_rows(state, 'context.down.1'),
        context_blocks=_count(state, 'context.blocks.'),
        fused='head.point' not in state)


def _compact_sr(state: State) -> dict[str, Any]:
    stages = range(_count(state, 'stages.'))
    channels = _rows(state, 'head')
    stage_channels = [_rows(state, f'stages.{stage}.up.0') // 4 for stage in stages]
    blocks = _count(state, 'body.') - 1
    names = [f'body.{block}' for block in range(blocks)]
    names += [f'stages.{stage}.refine' for stage in stages]
    squeezed = [_rows(state, f'{name}.attention.0') for name in names]
    widths = [channels] * blocks + stage_channels
    reduction = next(
        reduction for reduction in range(1, min([channels, *stage_channels]) + 1)
        if [width // reduction for width in widths] == squeezed)
    return dict(scale=2**len(stages), channels=channels, blocks=blocks,
                stage_channels=stage_channels, reduction=reduction)


def _span(state: State) -> dict[str, Any]:
    return dict(scale=_shuffled_scale(state), channels=_rows(state, 'head'),
                blocks=_count(state, 'blocks.'), fused='head.point' not in state)


def _safmn(state: State) -> dict[str, Any]:
    channels = _rows(state, 'head')
    return dict(scale=_shuffled_scale(state), channels=channels,
                blocks=_count(state, 'blocks.'),
                growth=_rows(state, 'blocks.0.mixer.0') // channels)


def _srvgg(state: State) -> dict[str, Any]:
    # a convolution, `convs` pairs of PReLU and convolution, and a PReLU
    return dict(scale=_shuffled_scale(state), channels=_rows(state, 'body.0'),
                convs=_count(state, 'body.') // 2 - 1)


def _rcan(state: State) -> dict[str, Any]:
    channels = _rows(state, 'head')
    return dict(
        scale=2**_count(state, 'upsample.'), channels=channels,
        groups=_count(state, 'body.'), blocks=_count(state, 'body.0.blocks.'),
        reduction=channels // _rows(state, 'body.0.blocks.0.attention.0'))


def _srfbn(state: State) -> dict[str, Any]:
    channels = _rows(state, 'feat_in.0')
    return dict(scale=state['out.0.weight'].shape[-1] - 4, channels=channels,
                groups=_count(state, 'block.up.'))


def _progressive_fsr(state: State) -> dict[str, Any]:
    return dict(scale=2**_count(state, 'steps.'), channels=_rows(state, 'head.0'))


def _distilled_student(state: State) -> dict[str, Any]:
    """Reads a student with VGG features.

    The shapes of ``TinyEncoder`` do not reveal its strides. Layout ``dfdnet512``
    differs from ``A`` only in a teacher.
    """
    layers = {key.split('.')[-2] for key in state if key.startswith('encoder.')}
    layout = 'A' if 'conv5_1' in layers else 'B'
    arch = 'vgg19' if 'conv3_4' in layers else 'vgg16'
    channels = [layer_channels(arch, tap) for tap in layout_of(layout).taps[arch]]
    # at any width the decoder has max(8, round(channels · width)) channels
    full = [channels[-1], *channels[-2::-1], min(channels[0], 64)]
    found = [_decoder_rows(state, 'bottleneck.join')]
    found += [_decoder_rows(state, f'stages.{level}.up.0')
              for level in range(len(channels))]
    low = max([0.0, *((rows - 0.5) / most for most, rows in zip(full, found)
                      if rows > 8)])
    high = min((rows + 0.5) / most for most, rows in zip(full, found))
    return dict(layout=layout, width=1.0 if low <= 1 <= high else (low + high) / 2,
                encoder=dict(type='fdsr.FeatureEncoder', arch=arch, pretrained=None))


def _decoder_rows(state: State, name: str) -> int:
    """Returns the output channels of a convolution with spectral norm."""
    return state[f'decoder.{name}.parametrizations.weight.original'].shape[0]


#: Functions that read a network's arguments from the shapes of its values.
READERS: dict[str, Callable[[State], dict[str, Any]]] = {
    'RepSR': _rep_sr, 'CompactSR': _compact_sr, 'SPAN': _span, 'SAFMN': _safmn,
    'SRVGG': _srvgg, 'RCAN': _rcan, 'SRFBN': _srfbn,
    'ProgressiveFSR': _progressive_fsr, 'DistilledStudent': _distilled_student,
}


def multiple_of(network: nn.Module) -> int:
    """Returns the number of which both sides of a network's input are a multiple."""
    if not isinstance(network, DistilledStudent):
        return 1
    deepest = network.encoder.strides[-1]
    return deepest // math.gcd(deepest, network.scale)
