"""Whether an exported network computes what its source computes."""

from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fdsr.apis.networks import FaceGeometry, example_inputs

#: Largest difference of SR in [0, 1], and the share of atoms that have to be the same.
TOLERANCE, ATOM_AGREEMENT = 1e-4, 0.99
#: Others than that of the example which the export has seen.
_BATCHES = (1, 3)
#: How far boxes are moved from the template's, as a share of the side.
_SHAKEN = 0.04


class ExportMismatch(ValueError):
    """An exported network that computes something else."""


def session(path: Path, threads: int = 0) -> Any:
    """An onnxruntime session on the CPU.

    Args:
        path: of the ONNX file.
        threads: of one operator; 0 for as many as there are cores.
    """
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(path), options, providers=['CPUExecutionProvider'])


def feed(faces: Sequence[Tensor]) -> Dict[str, np.ndarray]:
    """A network's inputs, (LR) or (LR, boxes), as a session takes them."""
    return {name: value.contiguous().numpy()
            for name, value in zip(('lr', 'boxes'), faces)}


def check(path: Path, network: nn.Module, setting: FaceGeometry) -> str:
    """Runs both on random faces, in batches of other sizes than the export has seen.

    Args:
        path: of the ONNX file.
        network: what it was made from.
        setting: how faces are cut for it.

    Returns:
        What was found, in a line.

    Raises:
        ExportMismatch: they differ by more than ``TOLERANCE``, or choose other atoms.
    """
    exported = session(path)
    chosen = session(_with_atoms(path)) if _reads_atoms(network) else None
    worst, same, atoms = 0.0, 0, 0
    for batch in _BATCHES:
        faces = _shaken(example_inputs(network, setting, batch), setting.size)
        with torch.no_grad():
            wanted, ours = _with_choices(network, faces)
        found = exported.run(['sr'], feed(faces))[0]
        agree = np.ones(batch, bool)
        if chosen is not None:
            theirs = np.stack(chosen.run(_atom_names(chosen), feed(faces)))
            equal = theirs == np.stack(ours)
            same, atoms = same + int(equal.sum()), atoms + equal.size
            agree = equal.all(axis=0)
        difference = np.abs(found - wanted.numpy())[agree]
        worst = max(worst, float(difference.max(initial=0)))
    return _verdict(worst, same, atoms)


def _verdict(worst: float, same: int, atoms: int) -> str:
    text = (f'onnxruntime differs by at most {worst:.1e} from torch (batches of '
            f'{" and ".join(map(str, _BATCHES))})')
    if atoms:
        text += f' where it chooses the same atoms, as in {same} of {atoms} choices'
    if worst > TOLERANCE or same < ATOM_AGREEMENT * atoms:
        raise ExportMismatch(
            f'The exported network computes something else: {text}. Allowed are '
            f'{TOLERANCE:.0e} and {1 - ATOM_AGREEMENT:.0%} of other choices. Nothing '
            'was written.')
    return text


def _reads_atoms(network: nn.Module) -> bool:
    return hasattr(network, 'dictionary') and getattr(network, 'use_atoms', True)


def _shaken(faces: Sequence[Tensor], size: int) -> Sequence[Tensor]:
    """Faces whose boxes differ from sample to sample."""
    if len(faces) == 1:
        return faces
    generator = torch.Generator().manual_seed(len(faces[0]))
    noise = torch.rand(faces[1].shape, generator=generator) - 0.5
    return faces[0], faces[1] + 2 * _SHAKEN * size * noise


def _with_choices(network: nn.Module, faces: Sequence[Tensor]
                  ) -> Tuple[Tensor, List[np.ndarray]]:
    """SR, and the atoms that were chosen, one array (B,) a level and component."""
    if not _reads_atoms(network):
        return network(*faces), []
    choices: List[np.ndarray] = []
    match = network.dictionary.match

    def recorded(*args: Any) -> Tensor:
        index = match(*args)
        choices.append(index.numpy())
        return index
    network.dictionary.match = recorded
    try:
        return network(*faces), choices
    finally:
        del network.dictionary.match


def _with_atoms(path: Path) -> Path:
    """The same network with the indices of the chosen atoms among its outputs."""
    import onnx
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        if node.op_type == 'ArgMax':
            model.graph.output.append(onnx.helper.make_tensor_value_info(
                node.output[0], onnx.TensorProto.INT64, ['batch']))
    beside = path.with_name(f'atoms-of-{path.name}')
    onnx.save(model, beside)
    return beside


def _atom_names(exported: Any) -> List[str]:
    return [output.name for output in exported.get_outputs()][1:]
