"""From a checkpoint to an ONNX file."""

import copy
import errno
import os
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from fdsr import __version__
from fdsr.apis.networks import FaceGeometry, example_inputs, open_network
from fdsr.interchange.export.checking import check
from fdsr.interchange.export.packages import need_packages
from fdsr.interchange.export.quantisation import quantise
from fdsr.models.files.checkpoints import read_checkpoint
from fdsr.models.parametrisations import bake_parametrisations
from fdsr.weights.shipped import SHIPPED, shipped_weights

OPSET = 17
#: Protocol buffers end at 2 GiB; beyond this the values stand in a file beside.
MOST_INLINE_BYTES = 1_500_000_000
_REFUSED_LAYOUT = 'dfdnet512'


class CannotExport(PermissionError):
    """The file cannot be written."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        path: of the ONNX file; ``PATH.data`` beside it holds the values of a large one.
        report: what the check and the quantisation have found, a line each.
    """

    path: Path
    report: List[str]


def export_onnx(weights: Union[str, Path], out: Union[str, Path],
                name: Optional[str] = None, int8: bool = False,
                faces: Optional[Union[str, Path]] = None) -> Exported:
    """Writes a network as ONNX, checks it with onnxruntime, and only then keeps it.

    Inputs are ``lr``, float32 (B, 3, h, h) RGB in [0, 1], and for a network with a
    dictionary ``boxes``, float32 (B, 4, 4) in SR pixels; the output is ``sr``, float32
    (B, 3, S, S), not clamped. B is free, h is what the checkpoint was trained for.

    Args:
        weights: as ``FaceSuperResolver`` takes them.
        out: the file to write.
        name: which of the file's backbones; default: the trained one.
        int8: quantise it; for networks without a dictionary.
        faces: folder of cut-out faces to quantise by; default: drawn ones.

    Raises:
        ImportError: the packages of ``fdsr[onnx]`` are absent.
        ValueError: a network that cannot be exported or quantised; tells why.
        ExportMismatch: the exported network computes something else.
        CannotExport: ``out`` cannot be written, or not whole.
    """
    need_packages()
    import onnx
    out = Path(out).expanduser()
    _check_out(out)
    network, setting = open_network(weights, name)
    _refuse(network, int8)
    network = without_parametrisations(network)
    with _draft_of(out) as folder:
        draft = Path(folder) / out.name
        _trace(network, example_inputs(network, setting), draft)
        model = onnx.load(draft)
        onnx.helper.set_model_props(model, _facts(weights, network, setting))
        large = _bytes_of(network) > MOST_INLINE_BYTES
        _save(model, draft, large)
        report = [check(draft, network, setting)]
        if int8:
            report += quantise(draft, setting, faces)
        for file in Path(folder).glob(f'{out.name}*'):
            if file.name in (out.name, f'{out.name}.data'):
                os.replace(file, out.parent / file.name)
    return Exported(out, report)


@contextmanager
def _draft_of(out: Path) -> Iterator[str]:
    """A folder beside a file, there as long as that is made.

    Raises:
        CannotExport: the disk is full.
    """
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix='.export-') as folder:
            yield folder
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _cannot_export(out, error) from error


def _check_out(out: Path) -> None:
    try:
        if out.is_dir():
            raise CannotExport('it is a folder')
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise _cannot_export(out, error) from error


def _cannot_export(out: Path, error: OSError) -> CannotExport:
    remedy = 'Make room there, or name' if error.errno == errno.ENOSPC else 'Name'
    return CannotExport(f'{out} cannot be written ({error.strerror or error}). '
                        f'{remedy} another file as OUT.')


def _refuse(network: nn.Module, int8: bool) -> None:
    layout = getattr(getattr(network, 'encoder', None), 'layout', None)
    if layout == _REFUSED_LAYOUT:
        raise ValueError(
            'DFDNet\'s own layout is not exported: its dictionary alone has 3 GiB, and '
            'its input is no LR face but one already brought to 512 px. Export a '
            'teacher of layout A or B, or better a student, which has no dictionary.')
    if int8 and network.uses_boxes:
        raise ValueError(
            'A network with a dictionary is not quantised: rounded features choose '
            'other atoms. Quantise a student instead.')
    if not any(True for _ in network.parameters()):
        raise ValueError(f'{type(network).__name__} has nothing to learn, so there is '
                         'nothing to export.')


def without_parametrisations(network: nn.Module) -> nn.Module:
    """A copy whose spectrally normalised weights are plain ones, of the same value."""
    return bake_parametrisations(copy.deepcopy(network).eval().requires_grad_(False))


def _trace(network: nn.Module, faces: Sequence[Tensor], path: Path) -> None:
    inputs = ['lr', 'boxes'][:len(faces)]
    with warnings.catch_warnings():
        # of checks of shapes, which hold for every batch, and of the exporter's age:
        # its successor cannot follow the dictionary's windows, which have free sizes
        warnings.simplefilter('ignore')
        torch.onnx.export(
            network, tuple(faces), str(path), input_names=inputs, output_names=['sr'],
            dynamic_axes={name: {0: 'batch'} for name in [*inputs, 'sr']},
            opset_version=OPSET, dynamo=False)


def _facts(weights: Union[str, Path], network: nn.Module,
           setting: FaceGeometry) -> Dict[str, str]:
    """What a user of the file has to know, kept in it."""
    facts: Dict[str, Any] = dict(
        fdsr=__version__, network=type(network).__name__, size=setting.size,
        scale=setting.scale, eye_share=setting.eye_share, colours='RGB in [0, 1]')
    source = (shipped_weights(str(weights)) if str(weights) in SHIPPED else
              Path(weights).expanduser())
    if source.suffix != '.py':
        licence = read_checkpoint(source)[0].get('licence')
        if licence:
            facts['licence'] = licence
    return {key: str(value) for key, value in facts.items()}


def _bytes_of(network: nn.Module) -> int:
    from fdsr.profiling.measuring import bytes_of
    return bytes_of(network)


def _save(model: Any, path: Path, large: bool) -> None:
    import onnx
    path.unlink()
    if large:
        onnx.save_model(model, path, save_as_external_data=True,
                        all_tensors_to_one_file=True, location=f'{path.name}.data')
    else:
        onnx.save_model(model, path)
