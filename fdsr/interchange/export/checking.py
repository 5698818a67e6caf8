"""Checks that an exported network computes the same as its source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fdsr.interchange.export.face512 import Face512Contract, restored_by_host
from fdsr.interchange.export.sr import BATCHES, SRContract

Contract = SRContract | Face512Contract

#: Largest difference of SR in [0, 1], and smallest share of equal atoms.
TOLERANCE, ATOM_AGREEMENT = 1e-4, 0.99
#: Steps in pixels from the size of LR to the sizes at which a file is tried, and what
#: to report if it computes the same there.
_STEPS = {'any': (3, 5), 'multiples of 8': (8, 16)}
#: Smallest mean difference between a restored face and an upsampled one, in 1/255.
_LEAST_CHANGE = 0.25


class ExportMismatch(ValueError):
    """Raised if an exported network computes something else than its source."""


def session(path: Path, threads: int = 0) -> Any:
    """Opens an onnxruntime session on the CPU.

    Args:
        path: the ONNX file.
        threads: threads per operator; 0: as many as torch.
    """
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(path), options, providers=['CPUExecutionProvider'])


def feed(faces: Sequence[Tensor],
         names: Sequence[str] = ('input', 'boxes')) -> dict[str, np.ndarray]:
    """Converts a network's inputs, (LR) or (LR, boxes), to those of a session."""
    return {name: value.contiguous().numpy() for name, value in zip(names, faces)}


def check(path: Path, contract: Contract) -> str:
    """Compares an exported network with its source on random faces.

    Args:
        path: the ONNX file.
        contract: its interface and its source.

    Returns:
        The differences found, in one line.

    Raises:
        ExportMismatch: the outputs differ by more than ``TOLERANCE``, or the selected
            atoms differ.
    """
    exported, network = session(path), contract.network
    selecting = session(_with_atoms(path)) if _reads_atoms(network) else None
    worst, same, atoms = 0.0, 0, 0
    for faces in contract.examples():
        with torch.no_grad():
            expected, indices = _with_indices(network, contract.module, faces)
        inputs = feed(faces, contract.inputs)
        found = exported.run(['output'], inputs)[0]
        agree = np.ones(len(found), bool)
        if selecting is not None:
            names = [output.name for output in selecting.get_outputs()][1:]
            equal = np.stack(selecting.run(names, inputs)) == np.stack(indices)
            same, atoms = same + int(equal.sum()), atoms + equal.size
            agree = equal.all(axis=0)
        difference = np.abs(found - expected.numpy())[agree] / contract.span
        worst = max(worst, float(difference.max(initial=0)))
    return _verdict(worst, same, atoms, contract)


def _verdict(worst: float, same: int, atoms: int, contract: Contract) -> str:
    tried = (f'batches of {" and ".join(map(str, BATCHES))}' if contract.name == 'sr'
             else 'noise and a smooth image')
    text = f'onnxruntime differs by at most {worst:.1e} from torch ({tried})'
    if atoms:
        text += f' with the same atoms, which is the case for {same} of {atoms}'
    if not worst <= TOLERANCE or same < ATOM_AGREEMENT * atoms:
        raise ExportMismatch(
            f'The exported network computes something else: {text}. Expected at most '
            f'{TOLERANCE:.0e}, and at least {ATOM_AGREEMENT:.0%} equal atoms. Nothing '
            'was written.')
    return text


def sizes_of(path: Path, contract: SRContract) -> str | None:
    """Returns the sizes of LR at which a file with dynamic axes equals its source.

    Args:
        path: the ONNX file.
        contract: its interface and its source.

    Returns:
        ``any`` (from about the trained size on), ``multiples of 8``, or None if it only
        works at the trained size.
    """
    exported, side = session(path), contract.geometry.lr_size
    for sizes, steps in _STEPS.items():
        generator = torch.Generator().manual_seed(0)
        lr = torch.rand(1, 3, *(side + step for step in steps), generator=generator)
        try:
            with torch.no_grad():
                expected = contract.network(lr)
            found = exported.run(['output'], feed([lr]))[0]
        except Exception:  # each runtime, and each network, has its own
            continue
        if (found.shape == expected.shape
                and np.abs(found - expected.numpy()).max() <= TOLERANCE):
            return sizes
    return None


def check_host(path: Path, contract: Face512Contract, lr: np.ndarray,
               tolerance: int = 1) -> str:
    """Restores a face as ReActor and facefusion do, and compares it with torch.

    Args:
        path: the ONNX file.
        contract: its interface and its source.
        lr: uint8 (h, h, 3) RGB, a face.
        tolerance: largest difference in 1/255.

    Returns:
        The differences found, in one line.

    Raises:
        ExportMismatch: the inputs and outputs are not those that both programs know,
            the result differs from torch, or it is only upsampled.
    """
    opened = session(path)
    _check_interface(opened)
    frame = contract.feed(lr)
    face = contract.image(frame['input'])
    found = restored_by_host(opened, face[..., ::-1])[..., ::-1]
    expected = contract.restored(face).astype(int)
    worst = np.abs(found - expected).max()
    upsampled = contract.restored(face, upsampled=True).astype(int)
    change = np.abs(found - upsampled).mean()
    text = (f'restored as ReActor and facefusion do, a face differs by at most {worst} '
            f'of 255 from torch, and by {change:.1f} on average from an upsampled one')
    if worst > tolerance:
        raise ExportMismatch(f'The exported network computes something else: {text}. '
                             f'Expected at most {tolerance}. Nothing was written.')
    if change < _LEAST_CHANGE:
        raise ExportMismatch(f'The network does not restore: {text}. Expected at least '
                             f'{_LEAST_CHANGE}. Nothing was written.')
    return text


def _check_interface(opened: Any) -> None:
    """Checks names, types and shapes."""
    frame = ('tensor(float)', [1, 3, 512, 512])
    known = {'input': frame, 'weight': ('tensor(double)', [1]), 'output': frame}
    given = [*opened.get_inputs(), *opened.get_outputs()]
    found = {value.name: (value.type, list(value.shape)) for value in given}
    if not {'input', 'output'} <= set(found) or any(
            value != known.get(name) for name, value in found.items()):
        raise ExportMismatch(
            f'Expected input, optionally weight, and output as {known}, found {found}. '
            'Nothing was written.')


def _reads_atoms(network: nn.Module) -> bool:
    return hasattr(network, 'dictionary') and getattr(network, 'use_atoms', True)


def _with_indices(network: nn.Module, module: nn.Module, faces: Sequence[Tensor]
                  ) -> tuple[Tensor, list[np.ndarray]]:
    """Returns the output of a module around a network, and the network's atoms.

    The atoms are an array (B,) per level and component.
    """
    if not _reads_atoms(network):
        return module(*faces), []
    indices: list[np.ndarray] = []
    match = network.dictionary.match

    def recorded(*args: Any) -> Tensor:
        index = match(*args)
        indices.append(index.numpy())
        return index
    network.dictionary.match = recorded
    try:
        return module(*faces), indices
    finally:
        del network.dictionary.match


def _with_atoms(path: Path) -> Path:
    """Writes a copy that also outputs the indices of the selected atoms."""
    import onnx
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        if node.op_type == 'ArgMax':
            model.graph.output.append(onnx.helper.make_tensor_value_info(
                node.output[0], onnx.TensorProto.INT64, ['batch']))
    copy = path.with_name(f'atoms-of-{path.name}')
    onnx.save(model, copy)
    return copy
