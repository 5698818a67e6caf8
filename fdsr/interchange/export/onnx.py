"""Exports a network from a checkpoint to an ONNX file."""

import copy
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fdsr import __version__
from fdsr.apis.networks import FaceGeometry, example_inputs, open_network
from fdsr.interchange.drafts import check_out_file, draft_folder
from fdsr.interchange.export.checking import check
from fdsr.interchange.export.quantisation import calibration_faces, quantise
from fdsr.models.files.checkpoints import read_checkpoint
from fdsr.models.parametrisations import bake_parametrisations
from fdsr.profiling.measuring import bytes_of
from fdsr.weights.shipped import SHIPPED, shipped_weights

OPSET = 17
#: Values of larger networks go to a second file: protocol buffers end at 2 GiB.
MOST_INLINE_BYTES = 1_500_000_000
_PACKAGES = ('onnx', 'onnxruntime')
_UNSUPPORTED_LAYOUT = 'dfdnet512'


@dataclass(frozen=True)
class Exported:
    """An exported network.

    Args:
        path: the ONNX file; ``PATH.data`` beside it holds the values of a large one.
        report: results of the check and of the quantisation, one line each.
    """

    path: Path
    report: list[str]


def export_onnx(weights: str | Path, out: str | Path, name: str | None = None,
                int8: bool = False, faces: str | Path | None = None) -> Exported:
    """Exports a network to ONNX; the file is kept if it passes the check.

    Inputs are ``lr``, float32 (B, 3, h, h) RGB in [0, 1], and for a network with a
    dictionary ``boxes``, float32 (B, 4, 4) in SR pixels. The output is ``sr``, float32
    (B, 3, S, S), not clamped. B is dynamic; h is the size the network was trained for.

    Args:
        weights: as for ``FaceSuperResolver``.
        out: the file to write.
        name: one of the file's backbones; default: the trained one.
        int8: quantise the network; not supported for networks with a dictionary.
        faces: folder of aligned faces for the calibration; default: synthetic faces.

    Raises:
        ImportError: the packages of ``fdsr[onnx]`` are missing.
        ValueError: the network cannot be exported or quantised.
        ExportMismatch: the exported network computes something else.
        IsADirectoryError: ``out`` is a folder.
        CannotWrite: its folder cannot be written, or the disk is full.
    """
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise ImportError(f'The export needs {" and ".join(missing)}: '
                          'pip install "fdsr[onnx]".')
    import onnx
    out = Path(out).expanduser()
    check_out_file(out)
    network, geometry = open_network(weights, name)
    _check_support(network, int8)
    hr = calibration_faces(geometry, faces) if int8 else []
    # Plain weights in place of spectrally normalised ones.
    network = bake_parametrisations(copy.deepcopy(network).eval())
    with draft_folder(out.parent) as folder:
        draft = folder / out.name
        _trace(network, example_inputs(network, geometry), draft)
        model = onnx.load(draft)
        onnx.helper.set_model_props(model, _metadata(weights, network, geometry))
        _save(model, draft, bytes_of(network) > MOST_INLINE_BYTES)
        report = [check(draft, network, geometry)]
        if int8:
            report += quantise(draft, geometry.lr_size, hr,
                               f'faces of {faces}' if faces else 'synthetic faces')
        for file in (draft, folder / f'{out.name}.data'):
            if file.exists():
                os.replace(file, out.parent / file.name)
    return Exported(out, report)


def _check_support(network: nn.Module, int8: bool) -> None:
    layout = getattr(getattr(network, 'encoder', None), 'layout', None)
    if layout == _UNSUPPORTED_LAYOUT:
        raise ValueError(
            "DFDNet's own layout cannot be exported: its dictionary has 3 GiB, and its "
            'input is a face at 512 px. Export a teacher of layout A or B, or a '
            'student, which has no dictionary.')
    if int8 and network.uses_boxes:
        raise ValueError(
            'A network with a dictionary cannot be quantised: rounded features select '
            'other atoms. Quantise a student.')
    if not any(True for _ in network.parameters()):
        raise ValueError(f'{type(network).__name__} has no parameters, so there is '
                         'nothing to export.')


def _trace(network: nn.Module, faces: Sequence[Tensor], path: Path) -> None:
    inputs = ['lr', 'boxes'][:len(faces)]
    with warnings.catch_warnings():
        # Shape checks hold for every batch. The new exporter does not support the
        # dictionary's windows, whose sizes are dynamic.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            network, tuple(faces), str(path), input_names=inputs, output_names=['sr'],
            dynamic_axes={name: {0: 'batch'} for name in [*inputs, 'sr']},
            opset_version=OPSET, dynamo=False)


def _metadata(weights: str | Path, network: nn.Module,
              geometry: FaceGeometry) -> dict[str, str]:
    """Returns the metadata of the ONNX file."""
    metadata: dict[str, Any] = dict(
        fdsr=__version__, network=type(network).__name__, size=geometry.size,
        scale=geometry.scale, eye_share=geometry.eye_share, colours='RGB in [0, 1]')
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
