"""Exports a network from a checkpoint to an ONNX file."""

import copy
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fdsr import __version__
from fdsr.apis.networks import FaceGeometry, open_network
from fdsr.geometry.alignment import resize
from fdsr.interchange.drafts import check_out_file, draft_folder
from fdsr.interchange.export.checking import Contract, check, check_host, sizes_of
from fdsr.interchange.export.face512 import Face512Contract
from fdsr.interchange.export.half import to_fp16
from fdsr.interchange.export.operators import fast_operators
from fdsr.interchange.export.quantisation import calibration_faces, quantise
from fdsr.interchange.export.sr import SRContract
from fdsr.models.files.checkpoints import read_checkpoint
from fdsr.models.parametrisations import bake_parametrisations
from fdsr.profiling.measuring import bytes_of
from fdsr.synthetic.portrait import render_portrait
from fdsr.synthetic.sampling import sample_face
from fdsr.weights.shipped import SHIPPED, shipped_weights

OPSET = 17
#: Values of larger networks go to a second file: protocol buffers end at 2 GiB.
MOST_INLINE_BYTES = 1_500_000_000
_PACKAGES = ('onnx', 'onnxruntime')
_UNSUPPORTED_LAYOUT = 'dfdnet512'


#: {name: interface of the exported file}
CONTRACTS: dict[str, type[Contract]] = {
    contract.name: contract for contract in (SRContract, Face512Contract)}


@dataclass(frozen=True)
class Exported:
    """An exported network.

    Args:
        path: the ONNX file; ``PATH.data`` beside it holds the values of a large one.
        report: results of the checks and of the reduced precision, one line each.
    """

    path: Path
    report: list[str]


def export_onnx(weights: str | Path, out: str | Path, name: str | None = None,
                int8: bool = False, faces: str | Path | None = None,
                contract: str = 'sr', fp16: bool = False,
                weight_input: bool = False) -> Exported:
    """Exports a network to ONNX; the file is kept if it passes the checks.

    With the contract ``sr``, the input is ``input``, float32 (B, 3, h, w) RGB in
    [0, 1], and for a network with a dictionary also ``boxes``, float32 (B, 4, 4) in SR
    pixels. The output is ``output``, float32 (B, 3, S, S), not clamped. B is dynamic,
    and so are h and w if the network computes the same as torch at other sizes than
    that of its training.

    With ``face512``, see ``Face512``, the input is ``input``, float32 (1, 3, 512, 512)
    RGB in [-1, 1], aligned to FFHQ's template, and the output ``output`` of the same
    shape. With ``weight_input`` there is also ``weight``, float64 (1,), which mixes
    input and result.

    Args:
        weights: as for ``FaceSuperResolver``.
        out: the file to write.
        name: one of the file's backbones; default: the trained one.
        int8: quantise the network; not supported for networks with a dictionary.
        faces: folder of aligned faces for the calibration, and for measuring the loss;
            default: synthetic faces.
        contract: ``sr`` or ``face512``.
        fp16: compute in fp16, with fp32 inputs and outputs; not supported for networks
            with a dictionary.
        weight_input: for ``face512``, add the input ``weight``. ReActor passes 1,
            facefusion 0.5 by default.

    Raises:
        ImportError: the packages of ``fdsr[onnx]`` are missing.
        ValueError: the network cannot be exported or reduced, or an option or the name
            of the file does not suit the contract.
        ExportMismatch: the exported network computes something else.
        IsADirectoryError: ``out`` is a folder.
        CannotWrite: its folder cannot be written, or the disk is full.
    """
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise ImportError(f'The export needs {" and ".join(missing)}: '
                          'pip install "fdsr[onnx]".')
    out = Path(out).expanduser()
    _check_options(contract, int8, fp16, weight_input)
    CONTRACTS[contract].check_name(out)
    check_out_file(out)
    network, geometry = open_network(weights, name)
    _check_support(network, int8 or fp16)
    kind = f'faces of {faces}' if faces else 'synthetic faces'
    hr = calibration_faces(geometry, faces) if int8 or fp16 else []
    # Plain weights in place of spectrally normalised ones.
    network = bake_parametrisations(copy.deepcopy(network).eval())
    interface = CONTRACTS[contract](network, geometry, weight_input)
    with draft_folder(out.parent) as folder:
        draft = folder / out.name
        sizes, report = _exported(draft, interface)
        if int8:
            report += quantise(draft, interface, hr, kind)
        if fp16:
            report += to_fp16(draft, interface, hr, kind)
        precision = 'int8' if int8 else 'fp16' if fp16 else 'fp32'
        _describe(draft, _metadata(weights, interface, sizes, precision))
        if isinstance(interface, Face512Contract):
            # the rounding of reduced precision is reported above
            report.append(check_host(draft, interface, _example_face(geometry),
                                     255 if int8 or fp16 else 1))
        for file in (draft, folder / f'{out.name}.data'):
            if file.exists():
                os.replace(file, out.parent / file.name)
    return Exported(out, report)


def _check_options(contract: str, int8: bool, fp16: bool, weight_input: bool) -> None:
    if contract not in CONTRACTS:
        raise ValueError(f'Unsupported contract {contract!r}; expected one of '
                         f'{", ".join(CONTRACTS)}.')
    if int8 and fp16:
        raise ValueError('--int8 and --fp16 exclude each other: choose one.')
    if weight_input and contract != 'face512':
        raise ValueError('--weight-input requires --contract face512.')


def _exported(path: Path, interface: Contract) -> tuple[str, list[str]]:
    """Writes and checks a file, with a dynamic size where the network allows it."""
    sizes = f'{interface.geometry.lr_size} px only'
    any_size = isinstance(interface, SRContract) and not interface.network.uses_boxes
    _trace(interface, path, any_size)
    if any_size:
        found = sizes_of(path, interface)
        if found is None:
            _trace(interface, path, False)
        sizes = found or sizes
    import onnx
    _save(onnx.load(path), path, bytes_of(interface.network) > MOST_INLINE_BYTES)
    report = [check(path, interface)]
    if interface.name == 'sr':
        report.append(f'size of LR: {sizes}')
    return sizes, report


def _example_face(geometry: FaceGeometry) -> np.ndarray:
    """Returns a synthetic LR face, uint8 (h, h, 3)."""
    face, _ = render_portrait(sample_face(0, 0, 0), geometry.size, geometry.eye_share)
    return resize(face, geometry.lr_size)


def _check_support(network: nn.Module, reduced: bool) -> None:
    layout = getattr(getattr(network, 'encoder', None), 'layout', None)
    if layout == _UNSUPPORTED_LAYOUT:
        raise ValueError(
            "DFDNet's own layout cannot be exported: its dictionary has 3 GiB, and its "
            'input is a face at 512 px. Export a teacher of layout A or B, or a '
            'student, which has no dictionary.')
    if reduced and network.uses_boxes:
        raise ValueError(
            'A network with a dictionary cannot be quantised or converted to fp16: '
            'rounded features select other atoms. Use a student.')
    if not any(True for _ in network.parameters()):
        raise ValueError(f'{type(network).__name__} has no parameters, so there is '
                         'nothing to export.')


def _trace(interface: Contract, path: Path, any_size: bool) -> None:
    with warnings.catch_warnings(), fast_operators(OPSET):
        # Shape checks hold for every batch. The new exporter does not support the
        # dictionary's windows, whose sizes are dynamic.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            interface.module, tuple(interface.examples()[0]), str(path),
            input_names=list(interface.inputs), output_names=['output'],
            dynamic_axes=interface.dynamic_axes(any_size),
            opset_version=OPSET, dynamo=False)


def _metadata(weights: str | Path, interface: Contract, sizes: str, precision: str
              ) -> dict[str, str]:
    """Returns the metadata of the ONNX file."""
    geometry = interface.geometry
    metadata: dict[str, Any] = dict(
        fdsr=__version__, contract=interface.name, precision=precision,
        network=type(interface.network).__name__, size=geometry.size,
        scale=geometry.scale, eye_share=geometry.eye_share, lr_sizes=sizes,
        colours=interface.colours)
    source = (shipped_weights(str(weights)) if str(weights) in SHIPPED else
              Path(weights).expanduser())
    if source.suffix != '.py':
        licence = read_checkpoint(source)[0].get('licence')
        if licence:
            metadata['licence'] = licence
    return {key: str(value) for key, value in metadata.items()}


def _save(model: Any, path: Path, large: bool) -> None:
    import onnx
    path.unlink()
    if large:
        onnx.save_model(model, path, save_as_external_data=True,
                        all_tensors_to_one_file=True, location=f'{path.name}.data')
    else:
        onnx.save_model(model, path)


def _describe(path: Path, metadata: dict[str, str]) -> None:
    import onnx
    model = onnx.load(path, load_external_data=False)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
