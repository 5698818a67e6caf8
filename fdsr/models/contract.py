"""The contract between backbones and the code that uses them.

Every backbone reports four traits as attributes: ``scale``, ``size``, ``eye_share`` and
``uses_boxes``. Model files store them, and :func:`load_backbone` restores them, so that
no caller has to guess.
"""

from dataclasses import dataclass
from typing import Any, Mapping

import torch
from torch import nn

from fdsr.registry import MODELS
from fdsr.utils.modules import unwrap

#: Upper limits of a trait in a model file.
MAX_SIZE, MAX_SCALE = 4096, 64
#: Sides of the LR images with which a scale is measured; some networks need a minimum.
_PROBE_SIDES = (16, 64, 128)


class Backbone(nn.Module):
    """Base class of a network from LR to SR.

    A backbone is called as ``net(lr)``, or as ``net(lr, boxes)`` if ``uses_boxes``.
    ``lr`` is (B, 3, h, w) RGB in [0, 1]; the result is (B, 3, h · scale, w · scale)
    RGB, not clamped. ``boxes`` is (B, 4, 4): left eye, right eye, nose, mouth, each
    ``x1, y1, x2, y2`` in SR pixels.

    A recurrent backbone also has ``forward_steps(lr) -> list`` and accepts
    ``forward(lr, all_steps=True)``; the pixel loss is summed over all steps.

    A backbone whose branches fuse for inference has ``fuse()``, which replaces them in
    place, and accepts ``fused=True``, with which it builds the fused form.

    A backbone that can start from a smaller one has ``start_values(values) -> values``,
    which completes a state dict before it initializes the backbone.

    Subclassing is optional: any ``nn.Module`` with these attributes is a backbone.

    Attributes:
        scale: factor from LR to SR.
        size: side in pixels of the SR faces that the network was trained for, None if
            unknown.
        eye_share: distance between the eyes in these faces as a share of ``size``, None
            if unknown.
        uses_boxes: whether the network takes component boxes.
    """

    scale: int
    size: int | None = None
    eye_share: float | None = None
    uses_boxes: bool = False


@dataclass(frozen=True)
class Traits:
    """The traits of one backbone, see :class:`Backbone`.

    Raises:
        ValueError: a trait has the wrong type or is out of range.
    """

    scale: int
    size: int | None = None
    eye_share: float | None = None
    uses_boxes: bool = False

    def __post_init__(self) -> None:
        _check('scale', self.scale, _is_integer(self.scale, MAX_SCALE),
               f'an integer from 1 to {MAX_SCALE}')
        _check('size', self.size,
               self.size is None or _is_integer(self.size, MAX_SIZE)
               and self.size >= self.scale,
               f'an integer from scale={self.scale} to {MAX_SIZE}, or None')
        _check('eye_share', self.eye_share, self.eye_share is None or (
            type(self.eye_share) is float and 0 < self.eye_share < 1),
            'a number between 0 and 1, or None')
        _check('uses_boxes', self.uses_boxes, type(self.uses_boxes) is bool,
               'True or False')


def _is_integer(value: Any, limit: int) -> bool:
    return type(value) is int and 1 <= value <= limit


def _check(name: str, value: Any, valid: bool, expected: str) -> None:
    if not valid:
        found = repr(value)
        raise ValueError(f'{name}: expected {expected}, found {found[:80]}')


def traits_of(network: nn.Module) -> Traits:
    """Returns the traits of a backbone, bare or in a distributed wrapper.

    Raises:
        ValueError: a trait is missing, has the wrong type or is out of range.
    """
    network = unwrap(network)
    values = {name: getattr(network, name, None) for name in ('size', 'eye_share')}
    try:
        return Traits(scale=getattr(network, 'scale', None),
                      uses_boxes=getattr(network, 'uses_boxes', False), **values)
    except ValueError as error:
        raise ValueError(
            f'{type(network).__name__} does not describe itself as a backbone: '
            f'{error}. Set the attribute in its constructor, see docs/plugins.md.'
        ) from error


def build_backbone(config: Mapping[str, Any]) -> nn.Module:
    """Builds a registered backbone that reports its traits.

    Args:
        config: ``type`` and arguments.

    Returns:
        The network. Traits that its class does not set, as those of mmagic's
        generators, have been added; the scale of such a network is measured.

    Raises:
        ValueError: see :func:`add_traits`.
    """
    return add_traits(MODELS.build(config))


def add_traits(network: nn.Module, known: Mapping[str, Any] | None = None) -> nn.Module:
    """Adds the traits that a network does not set itself.

    Args:
        network: a backbone.
        known: recorded traits. The network's own come first; a scale that neither has
            is measured with one forward pass.

    Returns:
        The same network.

    Raises:
        ValueError: a trait is invalid, or the recorded scale or use of boxes differs
            from the network's own.
    """
    known = {name: value for name, value in (known or {}).items() if value is not None}
    for name in ('uses_boxes', 'scale'):
        own = getattr(network, name, None)
        if own is not None and name in known and own != known[name]:
            raise ValueError(
                f'{type(network).__name__} has {name}={own!r}, but {name}='
                f'{known[name]!r} is recorded for it')
    for name, default in (('uses_boxes', False), ('size', None), ('eye_share', None)):
        if getattr(network, name, None) is None:
            setattr(network, name, known.get(name, default))
    if getattr(network, 'scale', None) is None:
        network.scale = known.get('scale') or _measure_scale(network)
    traits_of(network)
    return network


@torch.no_grad()
def _measure_scale(network: nn.Module) -> int:
    """Returns the factor between the sides of a network's output and its input."""
    value = next(iter(network.parameters()), torch.empty(0))
    boxes = [value.new_tensor([0, 0, 8, 8]).expand(1, 4, 4)] * network.uses_boxes
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        for side in _PROBE_SIDES:
            try:
                return network(value.new_zeros(1, 3, side, side), *boxes
                               ).shape[-1] // side
            except Exception as error:
                reason = error
    finally:
        for module, training in modes.items():
            module.training = training
    raise ValueError(
        f'The scale of {type(network).__name__} cannot be measured: a forward pass '
        f'with a black image fails ({reason}). Set the attribute scale in its '
        'constructor.') from reason
