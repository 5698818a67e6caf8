"""Checks that an exported network computes the same as its source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fdsr.apis.networks import FaceGeometry, example_inputs

#: Largest difference of SR in [0, 1], and smallest share of equal atoms.
TOLERANCE, ATOM_AGREEMENT = 1e-4, 0.99
#: Batch sizes; other than that of the export's example.
_BATCHES = (1, 3)
#: Largest shift of the boxes, as a share of the side.
_SHAKEN = 0.04


class ExportMismatch(ValueError):
    """Raised if an exported network computes something else than its source."""


def session(path: Path, threads: int = 0) -> Any:
    """Opens an onnxruntime session on the CPU.

    Args:
        path: the ONNX file.
        threads: threads per operator; 0: one per core.
    """
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(path), options, providers=['CPUExecutionProvider'])


def feed(faces: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """Converts a network's inputs, (LR) or (LR, boxes), to those of a session."""
    return {name: value.contiguous().numpy()
            for name, value in zip(('lr', 'boxes'), faces)}


def check(path: Path, network: nn.Module, geometry: FaceGeometry) -> str:
    """Compares an exported network with its source on random faces.

    Args:
        path: the ONNX file.
        network: its source.
        geometry: size, scale and alignment of the faces.

    Returns:
        The differences found, in one line.

    Raises:
        ExportMismatch: the outputs differ by more than ``TOLERANCE``, or the selected
            atoms differ.
    """
    exported = session(path)
    selecting = session(_with_atoms(path)) if _reads_atoms(network) else None
    worst, same, atoms = 0.0, 0, 0
    for batch in _BATCHES:
        faces = _shaken(example_inputs(network, geometry, batch), geometry.size)
        with torch.no_grad():
            expected, indices = _with_indices(network, faces)
        found = exported.run(['sr'], feed(faces))[0]
        agree = np.ones(batch, bool)
        if selecting is not None:
            names = [output.name for output in selecting.get_outputs()][1:]
            equal = np.stack(selecting.run(names, feed(faces))) == np.stack(indices)
            same, atoms = same + int(equal.sum()), atoms + equal.size
            agree = equal.all(axis=0)
        difference = np.abs(found - expected.numpy())[agree]
        worst = max(worst, float(difference.max(initial=0)))
    return _verdict(worst, same, atoms)


def _verdict(worst: float, same: int, atoms: int) -> str:
    text = (f'onnxruntime differs by at most {worst:.1e} from torch (batches of '
            f'{" and ".join(map(str, _BATCHES))})')
    if atoms:
        text += f' with the same atoms, which is the case for {same} of {atoms}'
    if worst > TOLERANCE or same < ATOM_AGREEMENT * atoms:
        raise ExportMismatch(
            f'The exported network computes something else: {text}. Expected at most '
            f'{TOLERANCE:.0e}, and {ATOM_AGREEMENT:.0%} of the atoms. Nothing was '
            'written.')
    return text


def _reads_atoms(network: nn.Module) -> bool:
    return hasattr(network, 'dictionary') and getattr(network, 'use_atoms', True)


def _shaken(faces: Sequence[Tensor], size: int) -> Sequence[Tensor]:
    """Shifts the boxes of each sample, if there are any."""
    if len(faces) == 1:
        return faces
    generator = torch.Generator().manual_seed(len(faces[0]))
    noise = torch.rand(faces[1].shape, generator=generator) - 0.5
    return faces[0], faces[1] + 2 * _SHAKEN * size * noise


def _with_indices(network: nn.Module, faces: Sequence[Tensor]
                  ) -> tuple[Tensor, list[np.ndarray]]:
    """Returns SR and the selected atoms, an array (B,) per level and component."""
    if not _reads_atoms(network):
        return network(*faces), []
    indices: list[np.ndarray] = []
    match = network.dictionary.match

    def recorded(*args: Any) -> Tensor:
        index = match(*args)
        indices.append(index.numpy())
        return index
    network.dictionary.match = recorded
    try:
        return network(*faces), indices
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
