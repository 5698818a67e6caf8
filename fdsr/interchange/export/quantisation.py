"""Quantises exported networks to 8-bit integers."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fdsr.apis.images import BadImage, as_arrays
from fdsr.apis.networks import FaceGeometry
from fdsr.geometry.alignment import resize
from fdsr.interchange.export.checking import session

#: Number of faces for the calibration, and of other faces to measure the loss.
_CALIBRATION, _HELD_OUT = 48, 16
#: First of the synthetic faces; nothing in the project trains on those from here on.
_FIRST_SYNTHETIC = 500_000
#: Other operators lose more when rounded, and are no slower in fp32.
_QUANTISED = ('Conv', 'ConvTranspose')


def quantise(path: Path, lr_size: int, hr: Sequence[np.ndarray],
             source: str) -> list[str]:
    """Replaces an ONNX file by one with int8 weights and activations.

    Static quantisation of convolutions (QDQ, one scale per output channel). The
    convolutions of ``_sensitive`` stay in fp32, because their rounding is visible.

    Args:
        path: the ONNX file.
        lr_size: side of LR.
        hr: faces of ``calibration_faces``.
        source: their name in the report.

    Returns:
        The loss, measured on faces that are not part of the calibration.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    lr = np.stack([resize(face, lr_size) for face in hr])
    lr = lr.transpose(0, 3, 1, 2).astype(np.float32) / 255
    held_out = max(1, len(hr) * _HELD_OUT // (_CALIBRATION + _HELD_OUT))
    prepared = path.with_name(f'prepared-{path.name}')
    rounded = path.with_name(f'int8-{path.name}')
    inputs = iter([dict(lr=face[None]) for face in lr[:-held_out]])
    reader = SimpleNamespace(get_next=lambda: next(inputs, None))
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared), str(rounded), reader,
        quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=list(_QUANTISED), nodes_to_exclude=_sensitive(prepared))
    before, after = (_super_resolve(file, lr[-held_out:]) for file in (path, rounded))
    sizes = [file.stat().st_size / 1e6 for file in (path, rounded)]
    os.replace(rounded, path)
    target = np.stack(hr[-held_out:])
    quality = psnr(before, target), psnr(after, target)
    return [
        f'int8: {sizes[1]:.2f} MB instead of {sizes[0]:.2f}',
        f'int8 loses {quality[0] - quality[1]:.2f} dB against HR ({quality[0]:.2f} to '
        f'{quality[1]:.2f}) and is {psnr(after, before):.2f} dB from fp32: mean PSNR '
        f'of {held_out} {source} outside the calibration, RGB, uint8']


def psnr(images: np.ndarray, target: np.ndarray) -> float:
    """Returns the mean PSNR of uint8 (N, H, W, 3) in dB; equal images count as 99."""
    error = (images.astype(np.float64) - target) ** 2
    error = np.maximum(error.mean(axis=(1, 2, 3)), 255**2 / 10**9.9)
    return float((10 * np.log10(255**2 / error)).mean())


def calibration_faces(geometry: FaceGeometry,
                      folder: str | Path | None = None) -> list[np.ndarray]:
    """Returns HR faces for the calibration and the measurement, uint8 (S, S, 3) each.

    Args:
        geometry: size of the faces.
        folder: folder of aligned faces; default: synthetic faces.

    Raises:
        ValueError: the folder has fewer than 4 faces, or images that are not square.
    """
    if folder is None:
        import fdsr.datasets  # noqa: F401
        from fdsr.registry import DATASETS
        synthetic = DATASETS.build(dict(
            type='fdsr.SyntheticFacesDataset', size=geometry.size,
            first=_FIRST_SYNTHETIC,
            length=_CALIBRATION + _HELD_OUT, test_mode=True, pipeline=[]))
        return [synthetic[index]['img'] for index in range(len(synthetic))]
    images = list(as_arrays(Path(folder)))
    if len(images) < 4:
        raise ValueError(f'{folder} has {len(images)} faces; the calibration needs at '
                         'least 4, better some dozens.')
    for image in images:
        if image.shape[0] != image.shape[1]:
            raise BadImage(
                f'{folder} has an image of {image.shape[1]}x{image.shape[0]} px; '
                'aligned faces are squares.')
    return [resize(image, geometry.size) for image in images[:_CALIBRATION + _HELD_OUT]]


def _sensitive(path: Path) -> list[str]:
    """Returns the first convolution and the last ones, those at the size of SR.

    A student of docs/study.md loses 0.24 dB with only the very last one in fp32, and
    0.07 dB with all of them.
    """
    import onnx
    graph = onnx.load(path).graph
    sides = {value.name: value.type.tensor_type.shape.dim[-1].dim_value
             for value in [*graph.value_info, *graph.output]
             if value.type.tensor_type.shape.dim}
    convolutions = [node for node in graph.node if node.op_type in _QUANTISED]
    names = [convolutions[0].name]
    for node in reversed(convolutions):
        side = sides.get(node.output[0])
        if side not in (1, sides[graph.output[0].name]):  # 1: inside an attention
            break
        names.append(node.name)
    return names


def _super_resolve(path: Path, lr: np.ndarray) -> np.ndarray:
    """Maps float32 (N, 3, h, h) to uint8 (N, S, S, 3)."""
    network = session(path)
    sr = [network.run(['sr'], dict(lr=face[None]))[0] for face in lr]
    images = np.rint(np.clip(np.concatenate(sr), 0, 1) * 255).astype(np.uint8)
    return images.transpose(0, 2, 3, 1)
