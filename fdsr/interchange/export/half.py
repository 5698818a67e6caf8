"""Converts exported networks to fp16."""

import copy
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fdsr.geometry.alignment import resize
from fdsr.interchange.export.checking import Contract, ExportMismatch, session
from fdsr.interchange.export.quantisation import held_out_faces, loss_report

#: Largest mean error in 1/255. A network that exceeds the range of fp16 has far more.
_MOST_MEAN_ERROR = 2.0


def to_fp16(path: Path, contract: Contract, hr: Sequence[np.ndarray],
            source: str) -> list[str]:
    """Replaces an ONNX file by one that computes in fp16.

    onnxruntime's converter is used. Inputs and outputs remain fp32, and so does
    everything outside of the network, such as the resampling of ``face512``.

    Args:
        path: the ONNX file.
        contract: its interface.
        hr: faces of ``calibration_faces``.
        source: their name in the report.

    Returns:
        The loss and the error, measured on the last of the faces; the larger of the
        file's on this CPU and of emulated fp16.

    Raises:
        ExportMismatch: the network needs values beyond the range of fp16.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    model = onnx.load(path)
    # torch names the nodes of Face512's network after their module.
    around = [node.name for node in model.graph.node
              if contract.name == 'face512' and '/network/' not in node.name]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # values that are rounded to zero
        model = convert_float_to_float16(
            model, keep_io_types=True, node_block_list=around)
    reduced = path.with_name(f'fp16-{path.name}')
    onnx.save(model, reduced)
    faces = held_out_faces(hr)
    exact = half_precision(contract)
    outputs = [_outputs(contract, path, reduced, exact, face) for face in faces]
    full, file, half = (np.stack(values) for values in zip(*outputs))
    errors = [np.abs(other - full) / contract.span * 255 for other in (file, half)]
    worst, mean = (max(map(measure, errors)) for measure in (np.max, np.mean))
    if not mean <= _MOST_MEAN_ERROR:  # NaN fails as well
        raise ExportMismatch(
            f'In fp16, the network differs by {mean:.1f} of 255 on average; expected '
            f'at most {_MOST_MEAN_ERROR}. Its features exceed the range or the '
            'precision of fp16: export it without --fp16. Nothing was written.')
    before, after = ([contract.image(output) for output in values]
                     for values in (full, half))
    report = [*loss_report('fp16', (path, reduced), before, after, contract, faces,
                           source),
              f'fp16 differs from fp32 by at most {worst:.2f} and by {mean:.3f} on '
              'average, in 1/255 before rounding']
    os.replace(reduced, path)
    return report


class _Rounded(TorchFunctionMode):
    """Rounds the result of every operation to fp16, as tensor cores do."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dtype == torch.float32:
            return result.half().float()
        return result


class _Half(nn.Module):
    """A network that computes in fp16, emulated in fp32."""

    uses_boxes = False

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        with torch.no_grad():
            for value in (*self.network.parameters(), *self.network.buffers()):
                if value.is_floating_point():
                    value.copy_(value.half())

    def forward(self, lr: Tensor) -> Tensor:
        with _Rounded():
            return self.network(lr)


def half_precision(contract: Contract) -> nn.Module:
    """Returns a contract's module with the network in emulated fp16.

    onnxruntime's CPU provider computes the file's fp16 operators in fp32, and so hides
    most of the rounding that a GPU shows. torch's own fp16 takes 100 times as long on a
    CPU.
    """
    half = _Half(contract.network)
    if contract.module is contract.network:
        return half
    module = copy.deepcopy(contract.module)
    module.network = half
    return module


def _outputs(contract: Contract, full: Path, reduced: Path, exact: nn.Module,
             hr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the outputs of the fp32 file, of the fp16 file, and of emulated fp16."""
    inputs = contract.feed(resize(hr, contract.geometry.lr_size))
    with torch.no_grad():
        half = exact(*map(torch.from_numpy, inputs.values())).numpy()
    return (*(session(path).run(['output'], inputs)[0] for path in (full, reduced)),
            half)
