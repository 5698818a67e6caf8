"""What a backbone costs: parameters, arithmetic, time and memory.

Multiply-adds are counted by torch's ``FlopCounterMode``, halved: convolutions,
transposed ones included, and whatever ends in a matrix product (linear layers,
``matmul``, ``einsum``, attention). Biases, activations, normalisations, interpolations
and products with a vector, as spectral norm's, are not counted, nor are operators of
other packages.

Memory on a CPU is the kernel's high-water mark of this process, set back before the
call (``peak_memory``), so that what ran before does not count, and what libraries
allocate for themselves does. It is the median of up to three calls.
"""

import statistics
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor, nn

from fdsr.geometry.components import FFHQ_EYE_SHARE, template_boxes
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
#: What parts are called.
DETECTION, DICTIONARY = 'landmark detection', 'dictionary'


@dataclass(frozen=True)
class Latency:
    """One batch size: milliseconds a batch, and the call's working memory.

    Args:
        peak_mb: MB (10^6 bytes) that the call needs beside the network and its input;
            None where the system does not tell.
    """

    batch_size: int
    median_ms: float
    best_ms: float
    peak_mb: Optional[float]

    @property
    def ms_per_picture(self) -> float:
        """The median's share of one picture."""
        return self.median_ms / self.batch_size


@dataclass(frozen=True)
class Part:
    """One step of a network's way from LR to SR, for one picture.

    Args:
        ms: median; None if it was not measured, and ``note`` says why.
        memory_mb: of its parameters and buffers, in MB (10^6 bytes); None: unknown.
    """

    name: str
    ms: Optional[float] = None
    gmacs: Optional[float] = None
    memory_mb: Optional[float] = None
    note: str = ''


@dataclass(frozen=True)
class Profile:
    """The costs of one backbone, as plain values.

    Args:
        network: name of its class.
        lr_size, sr_size: sides of the pictures.
        trained, frozen: parameters with and without gradients.
        network_mb: parameters and buffers but for the dictionary's atoms, in MB.
        dictionary_mb: the atoms, in MB.
        gmacs: 10^9 multiply-adds of one picture, see ``MACS_COUNT``.
        latencies: one a batch size.
        parts: of a network that reads a dictionary; empty for others.
        protocol: what has to stand beside the numbers.
    """

    network: str
    lr_size: int
    sr_size: int
    trained: int
    frozen: int
    network_mb: float
    dictionary_mb: float
    gmacs: float
    latencies: Tuple[Latency, ...]
    parts: Tuple[Part, ...]
    protocol: Dict[str, Any]

    @property
    def parts_ms(self) -> Optional[float]:
        """Sum of the parts that were measured."""
        measured = [part.ms for part in self.parts if part.ms is not None]
        return sum(measured) if measured else None

    def to_dict(self) -> Dict[str, Any]:
        """A dict that JSON can hold, sums and shares of a picture included."""
        values = asdict(self)
        for latency, entry in zip(self.latencies, values['latencies']):
            entry['ms_per_picture'] = latency.ms_per_picture
        return {**values, 'parts_ms': self.parts_ms}


def profile_backbone(network: nn.Module, lr_size: int,
                     batch_sizes: Sequence[int] = (1, 8),
                     boxes: Optional[Union[Tensor, np.ndarray]] = None,
                     device: str = 'cpu', warmup: int = 1, repeats: int = 5,
                     detection: Optional[Part] = None) -> Profile:
    """Measures a backbone, in ``torch.inference_mode`` on random pictures.

    Args:
        network: moved to the device, and left there in eval mode.
        lr_size: side of the LR picture.
        batch_sizes: each is timed and weighed.
        boxes: (4, 4) in SR pixels, for a network that uses boxes; default: those of
            FFHQ's template at the network's size, ``template_boxes``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        warmup: calls before those that are timed.
        repeats: timed calls.
        detection: cost of finding the landmarks, as ``detection_part`` measures it;
            default: a part that says that nothing was measured.

    Raises:
        ValueError: an argument is impossible, the network asks for another size, or
            the device is not there.
    """
    _check(lr_size, batch_sizes, device, warmup, repeats)
    clock = Clock(torch.device(device), warmup, repeats)
    network = network.to(device).eval()
    inputs = _Inputs(network, lr_size, boxes, clock.device)
    with torch.inference_mode():
        one = inputs.of(1)
        sr_size = int(network(*one).shape[-1])
        gmacs = count_gmacs(lambda: network(*one))
        latencies = tuple(
            _latency(network, inputs.of(batch), clock) for batch in batch_sizes)
        parts = _parts(network, one, clock, detection) if _has_parts(network) else ()
    trained, frozen = _parameters(network)
    atoms = _dictionary_bytes(network)
    return Profile(
        type(network).__name__, lr_size, sr_size, trained, frozen,
        network_mb=(bytes_of(network) - atoms) / 1e6, dictionary_mb=atoms / 1e6,
        gmacs=gmacs, latencies=latencies, parts=parts,
        protocol=_protocol(clock, inputs.dtype))


def _latency(network: nn.Module, inputs: Sequence[Tensor], clock: Clock) -> Latency:
    def call() -> Tensor:
        return network(*inputs)

    times = clock.milliseconds(call)
    return Latency(len(inputs[0]), statistics.median(times), min(times),
                   clock.peak_mb(call))


class _Inputs:
    """What a network is called with, for any batch size."""

    def __init__(self, network: nn.Module, lr_size: int,
                 boxes: Optional[Union[Tensor, np.ndarray]],
                 device: torch.device) -> None:
        self.dtype = next((value.dtype for value in network.parameters()),
                          torch.get_default_dtype())
        self._lr_size, self._device = lr_size, device
        self._boxes = None
        if network.uses_boxes:
            if boxes is None:
                boxes = template_boxes(sr_size_of(network, lr_size),
                                       network.eye_share or FFHQ_EYE_SHARE)
            self._boxes = torch.as_tensor(boxes, device=device).reshape(1, 4, 4)

    def of(self, batch_size: int) -> List[Tensor]:
        generator = torch.Generator().manual_seed(0)
        lr = torch.rand(batch_size, 3, self._lr_size, self._lr_size,
                        generator=generator).to(self._device, self.dtype)
        if self._boxes is None:
            return [lr]
        return [lr, self._boxes.expand(batch_size, 4, 4).contiguous()]


def sr_size_of(network: nn.Module, lr_size: int) -> int:
    """Returns the side of the SR image for a side of the LR image.

    Raises:
        ValueError: the network uses boxes and was made for another size.
    """
    size = lr_size * network.scale
    if network.uses_boxes and network.size not in (None, size):
        raise ValueError(
            f'{type(network).__name__} is made for {network.size} px, from LR images '
            f'of {network.size // network.scale} px; found lr_size={lr_size}.')
    return size


def _has_parts(network: nn.Module) -> bool:
    return network.uses_boxes and all(
        hasattr(network, part) for part in ('encode', 'transfer', 'decoder'))


def _parts(network: nn.Module, inputs: Sequence[Tensor], clock: Clock,
           detection: Optional[Part]) -> Tuple[Part, ...]:
    """Each step of a teacher for one picture, the detector first."""
    lr, boxes = inputs
    maps = network.encode(lr)
    styles = network.transfer(maps, boxes)
    atoms = _dictionary_bytes(network)
    encoder, decoder = (bytes_of(part) for part in (network.encoder, network.decoder))
    steps = {
        'encoder': (lambda: network.encode(lr), encoder, ''),
        # what neither encoder nor decoder holds: atoms and confidence blocks
        DICTIONARY: (lambda: network.transfer(maps, boxes),
                     bytes_of(network) - encoder - decoder,
                     f'{atoms / 1e6:.1f} MB of it atoms, {_atoms_dtype(network)}'),
        'decoder': (lambda: network.decoder(maps[-1], styles), decoder, ''),
    }
    measured = [
        Part(name, statistics.median(clock.milliseconds(call)), count_gmacs(call),
             size / 1e6, note)
        for name, (call, size, note) in steps.items()]
    if detection is None:
        detection = Part(DETECTION, note=f'{NOT_MEASURED}: no detector was given')
    return (detection, *measured)


def _parameters(network: nn.Module) -> Tuple[int, int]:
    counts = {True: 0, False: 0}
    for parameter in network.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return counts[True], counts[False]


def _dictionary_bytes(network: nn.Module) -> int:
    return sum(bytes_of(module) for module in network.modules()
               if isinstance(module, ComponentDictionary))


def _atoms_dtype(network: nn.Module) -> str:
    """Of the atoms; fp16 ones are converted for matching, which takes time."""
    dtypes = {_name(atoms.dtype) for module in network.modules()
              if isinstance(module, ComponentDictionary) for atoms in module.buffers()}
    return ' and '.join(sorted(dtypes))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


def _protocol(clock: Clock, dtype: torch.dtype) -> Dict[str, Any]:
    kind = clock.device.type
    facts = dict(
        device=str(clock.device), dtype=_name(dtype),
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
            'A profile needs an LR size, batch sizes and repeats of at least 1, and '
            f'warmup of at least 0; found lr_size={lr_size}, '
            f'batch_sizes={list(batch_sizes)}, repeats={repeats}, warmup={warmup}.')
    kind = torch.device(device).type
    if kind not in MEMORY_MEANS:
        raise ValueError(f'Profiles are made on cpu or cuda, found {device!r}.')
    if kind == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'There is no GPU for device={device!r}: take device=cpu.')
