"""Measures the cost of a backbone: parameters, multiply-adds, time and memory.

``measuring`` says what is counted and measured, see ``MACS_COUNT``, ``MEMORY_MEANS``
and ``peak_memory``.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fdsr.geometry.components import FFHQ_EYE_SHARE, template_boxes
from fdsr.models.contract import add_traits
from fdsr.models.dictionary.component_dictionary import ComponentDictionary
from fdsr.profiling.measuring import (
    MACS_COUNT,
    MEMORY_MEANS,
    Clock,
    bytes_of,
    count_gmacs,
)
from fdsr.utils.hardware import hardware

NOT_MEASURED = 'not measured'
#: Names of parts.
DETECTION, DICTIONARY = 'landmark detection', 'dictionary'


@dataclass(frozen=True)
class Latency:
    """Time and working memory for one batch size.

    Args:
        batch_size: images per batch.
        median_ms: median time per batch in milliseconds.
        best_ms: shortest time per batch in milliseconds.
        peak_mb: MB (10^6 bytes) used beside the network and its input; None if the
            system does not report it.
    """

    batch_size: int
    median_ms: float
    best_ms: float
    peak_mb: float | None

    @property
    def ms_per_picture(self) -> float:
        """Median time per image in milliseconds."""
        return self.median_ms / self.batch_size


@dataclass(frozen=True)
class Part:
    """The cost of one step of a network for one image.

    Args:
        name: name of the step.
        ms: median time; None if not measured, ``note`` says why.
        gmacs: 10^9 multiply-adds; None: unknown.
        memory_mb: MB (10^6 bytes) of parameters and buffers; None: unknown.
        note: a comment.
    """

    name: str
    ms: float | None = None
    gmacs: float | None = None
    memory_mb: float | None = None
    note: str = ''


@dataclass(frozen=True)
class Profile:
    """The cost of a backbone, as plain values.

    Args:
        network: name of its class.
        lr_size, sr_size: sides of LR and SR.
        trained, frozen: numbers of parameters with and without gradients.
        network_mb: MB of parameters and buffers, without the dictionary's atoms.
        dictionary_mb: MB of the atoms.
        gmacs: 10^9 multiply-adds per image, see ``MACS_COUNT``.
        latencies: one per batch size.
        parts: steps of a network with a dictionary; empty for others.
        protocol: how the numbers were measured.
    """

    network: str
    lr_size: int
    sr_size: int
    trained: int
    frozen: int
    network_mb: float
    dictionary_mb: float
    gmacs: float
    latencies: tuple[Latency, ...]
    parts: tuple[Part, ...]
    protocol: dict[str, Any]

    @property
    def parts_ms(self) -> float | None:
        """Total time of the measured parts."""
        measured = [part.ms for part in self.parts if part.ms is not None]
        return sum(measured) if measured else None

    def to_dict(self) -> dict[str, Any]:
        """Returns values for JSON, with sums and times per image."""
        values = asdict(self)
        for latency, entry in zip(self.latencies, values['latencies']):
            entry['ms_per_picture'] = latency.ms_per_picture
        return {**values, 'parts_ms': self.parts_ms}


def profile_backbone(network: nn.Module, lr_size: int,
                     batch_sizes: Sequence[int] = (1, 8),
                     boxes: Tensor | np.ndarray | None = None,
                     device: str = 'cpu', warmup: int = 1, repeats: int = 5,
                     detection: Part | None = None) -> Profile:
    """Measures a backbone in ``torch.inference_mode`` on random images.

    Args:
        network: the backbone; it is moved to the device and set to eval mode.
        lr_size: side of LR.
        batch_sizes: batch sizes to measure.
        boxes: (4, 4) in SR pixels, for a network that uses boxes; default:
            ``template_boxes`` at the network's size.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        warmup: untimed calls.
        repeats: timed calls.
        detection: cost of the landmarks, see ``detection_part``; default: not measured.

    Raises:
        ValueError: an argument is out of range, the network needs another size, or
            the device is not available.
    """
    _check(lr_size, batch_sizes, device, warmup, repeats)
    clock = Clock(torch.device(device), warmup, repeats)
    network = add_traits(network.to(device)).eval()
    inputs = _inputs(network, lr_size, boxes, clock.device, max(batch_sizes))
    one = [value[:1] for value in inputs]
    with torch.inference_mode():
        sr_size = int(network(*one).shape[-1])
        gmacs = count_gmacs(lambda: network(*one))
        latencies = tuple(
            _latency(network, [value[:batch] for value in inputs], clock)
            for batch in batch_sizes)
        has_parts = network.uses_boxes and all(
            hasattr(network, part) for part in ('encode', 'transfer', 'decoder'))
        parts = _parts(network, one, clock, detection) if has_parts else ()
    trained, frozen = (
        sum(value.numel() for value in network.parameters()
            if value.requires_grad is trains) for trains in (True, False))
    atoms = _dictionary_bytes(network)
    return Profile(
        type(network).__name__, lr_size, sr_size, trained, frozen,
        network_mb=(bytes_of(network) - atoms) / 1e6, dictionary_mb=atoms / 1e6,
        gmacs=gmacs, latencies=latencies, parts=parts,
        protocol=_protocol(clock, one[0].dtype))


def _latency(network: nn.Module, inputs: Sequence[Tensor], clock: Clock) -> Latency:
    call = partial(network, *inputs)
    times = clock.milliseconds(call)
    return Latency(len(inputs[0]), statistics.median(times), min(times),
                   clock.peak_mb(call))


def _inputs(network: nn.Module, lr_size: int, boxes: Tensor | np.ndarray | None,
            device: torch.device, batch_size: int) -> list[Tensor]:
    """Returns [LR], or [LR, boxes]."""
    dtype = next((value.dtype for value in network.parameters()),
                 torch.get_default_dtype())
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(batch_size, 3, lr_size, lr_size, generator=generator)
    lr = lr.to(device, dtype)
    if not network.uses_boxes:
        return [lr]
    if boxes is None:
        boxes = template_boxes(sr_size_of(network, lr_size),
                               network.eye_share or FFHQ_EYE_SHARE)
    boxes = torch.as_tensor(boxes, device=device).reshape(1, 4, 4)
    return [lr, boxes.repeat(batch_size, 1, 1)]


def sr_size_of(network: nn.Module, lr_size: int) -> int:
    """Returns the side of SR for a side of LR.

    Raises:
        ValueError: the network uses boxes and was made for another size.
    """
    size = lr_size * network.scale
    if network.uses_boxes and network.size not in (None, size):
        raise ValueError(
            f'{type(network).__name__} is made for {network.size} px, from LR images '
            f'of {network.size // network.scale} px; found lr_size={lr_size}.')
    return size


def _parts(network: nn.Module, inputs: Sequence[Tensor], clock: Clock,
           detection: Part | None) -> tuple[Part, ...]:
    """Measures each step of a teacher for one image, after the detection."""
    lr, boxes = inputs
    maps = network.encode(lr)
    styles = network.transfer(maps, boxes)
    atoms = _dictionary_bytes(network)
    # fp16 atoms have to be converted before matching
    dtypes = ' and '.join(sorted({
        _name_of(value.dtype) for module in network.modules()
        if isinstance(module, ComponentDictionary) for value in module.buffers()}))
    encoder, decoder = (bytes_of(part) for part in (network.encoder, network.decoder))
    steps = {
        'encoder': (lambda: network.encode(lr), encoder, ''),
        # the memory of the atoms and of the confidence blocks
        DICTIONARY: (lambda: network.transfer(maps, boxes),
                     bytes_of(network) - encoder - decoder,
                     f'{atoms / 1e6:.1f} MB of atoms, {dtypes}'),
        'decoder': (lambda: network.decoder(maps[-1], styles), decoder, ''),
    }
    measured = [
        Part(name, statistics.median(clock.milliseconds(call)), count_gmacs(call),
             size / 1e6, note)
        for name, (call, size, note) in steps.items()]
    if detection is None:
        detection = Part(DETECTION, note=f'{NOT_MEASURED}: no detector was given')
    return (detection, *measured)


def _dictionary_bytes(network: nn.Module) -> int:
    return sum(bytes_of(module) for module in network.modules()
               if isinstance(module, ComponentDictionary))


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


def _protocol(clock: Clock, dtype: torch.dtype) -> dict[str, Any]:
    kind = clock.device.type
    facts = dict(
        device=str(clock.device), dtype=_name_of(dtype),
        time=f'torch.inference_mode, median and best of {clock.repeats} calls after '
             f'{clock.warmup}',
        memory=MEMORY_MEANS[kind], macs=MACS_COUNT)
    if kind == 'cuda':
        facts['tf32'] = dict(convolutions=torch.backends.cudnn.allow_tf32,
                             products=torch.backends.cuda.matmul.allow_tf32)
    return {**facts, 'hardware': hardware()}


def _check(lr_size: int, batch_sizes: Sequence[int], device: str, warmup: int,
           repeats: int) -> None:
    if not batch_sizes or min(lr_size, repeats, *batch_sizes) < 1 or warmup < 0:
        raise ValueError(
            'Expected LR size, batch sizes and repeats of at least 1, and warmup of '
            f'at least 0, found lr_size={lr_size}, '
            f'batch_sizes={list(batch_sizes)}, repeats={repeats}, warmup={warmup}.')
    kind = torch.device(device).type
    if kind not in MEMORY_MEANS:
        raise ValueError(f'Expected device cpu or cuda, found {device!r}.')
    if kind == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'There is no GPU for device={device!r}: use device=cpu.')
