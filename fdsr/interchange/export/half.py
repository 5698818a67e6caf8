"""Converts exported networks to fp16."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

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
        The loss and the error, measured on the last of the faces.

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
    error = _error(path, reduced, contract, faces)
    if not error.mean() <= _MOST_MEAN_ERROR:  # NaN fails as well
        raise ExportMismatch(
            f'In fp16, the network differs by {error.mean():.1f} of 255 on average; '
            f'expected at most {_MOST_MEAN_ERROR}. Its features exceed the range or '
            'the precision of fp16: export it without --fp16. Nothing was written.')
    report = [*loss_report('fp16', path, reduced, contract, faces, source),
              f'fp16 differs from fp32 by at most {error.max():.2f} and by '
              f'{error.mean():.3f} on average, in 1/255 before rounding']
    os.replace(reduced, path)
    return report


def _error(full: Path, reduced: Path, contract: Contract,
           hr: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the absolute differences of the outputs in 1/255."""
    sessions = session(full), session(reduced)
    errors = []
    for face in hr:
        inputs = contract.feed(resize(face, contract.geometry.lr_size))
        first, second = (opened.run(['output'], inputs)[0] for opened in sessions)
        errors.append(np.abs(first - second) / contract.span * 255)
    return np.stack(errors)
