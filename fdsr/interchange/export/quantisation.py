"""Quantises exported networks to 8-bit integers."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fdsr.apis.images import BadImage, as_arrays
from fdsr.apis.networks import FaceGeometry
from fdsr.geometry.alignment import resize
from fdsr.interchange.export.checking import Contract, session

#: Number of faces for the calibration, and of other faces to measure the loss.
_CALIBRATION, _HELD_OUT = 48, 16
#: First of the synthetic faces; nothing in the project trains on those from here on.
_FIRST_SYNTHETIC = 500_000
#: Other operators lose more when rounded, and are no slower in fp32.
_QUANTISED = ('Conv', 'ConvTranspose')


def quantise(path: Path, contract: Contract, hr: Sequence[np.ndarray],
             source: str) -> list[str]:
    """Replaces an ONNX file by one with int8 weights and activations.

    Static quantisation of convolutions (QDQ, one scale per output channel). The
    convolutions of ``_sensitive`` stay in fp32, because their rounding is visible.

    Args:
        path: the ONNX file.
        contract: its interface.
        hr: faces of ``calibration_faces``.
        source: their name in the report.

    Returns:
        The loss, measured on faces that are not part of the calibration.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    held_out = held_out_faces(hr)
    prepared = path.with_name(f'prepared-{path.name}')
    rounded = path.with_name(f'int8-{path.name}')
    lr_size = contract.geometry.lr_size
    inputs = (contract.feed(resize(face, lr_size)) for face in hr[:-len(held_out)])
    reader = SimpleNamespace(get_next=lambda: next(inputs, None))
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared), str(rounded), reader,
        quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=list(_QUANTISED),
        nodes_to_exclude=_sensitive(prepared, contract.geometry))
    lr = [resize(face, lr_size) for face in held_out]
    before, after = (_super_resolve(file, contract, lr) for file in (path, rounded))
    report = loss_report('int8', (path, rounded), before, after, contract, held_out,
                         source)
    os.replace(rounded, path)
    return report


def held_out_faces(hr: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """Returns the faces that measure the loss, the last ones."""
    return hr[-max(1, len(hr) * _HELD_OUT // (_CALIBRATION + _HELD_OUT)):]


def loss_report(kind: str, files: tuple[Path, Path], before: Sequence[np.ndarray],
                after: Sequence[np.ndarray], contract: Contract,
                hr: Sequence[np.ndarray], source: str) -> list[str]:
    """Compares reduced precision with fp32.

    Args:
        kind: name of the precision.
        files: the fp32 file and the other.
        before: SR in fp32, uint8 (S, S, 3) each.
        after: SR in reduced precision.
        contract: the interface of both files.
        hr: uint8 (S, S, 3) faces.
        source: their name in the report.

    Returns:
        Sizes and loss, one line each.
    """
    sizes = [file.stat().st_size / 1e6 for file in files]
    before, after = np.stack(before), np.stack(after)
    target = np.stack([contract.target(face) for face in hr])
    quality = psnr(before, target), psnr(after, target)
    return [
        f'{kind}: {sizes[1]:.2f} MB instead of {sizes[0]:.2f}',
        f'{kind} loses {quality[0] - quality[1]:.2f} dB against HR '
        f'({quality[0]:.2f} to {quality[1]:.2f}) and is '
        f'{psnr(after, before):.2f} dB from fp32: mean PSNR '
        f'of {len(hr)} {source} outside the calibration, RGB, uint8']


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


def _sensitive(path: Path, geometry: FaceGeometry) -> list[str]:
    """Returns the first convolution and the last ones, those at the size of SR.

    A student of docs/study.md loses 0.24 dB with only the very last one in fp32, and
    0.07 dB with all of them.
    """
    import onnx
    model = onnx.load(path)
    sides = (1, 3, geometry.lr_size, geometry.lr_size)
    shape = model.graph.input[0].type.tensor_type.shape
    if any(axis.dim_param for axis in shape.dim):
        for axis, side in zip(shape.dim, sides):
            axis.dim_value = side
        del model.graph.value_info[:]
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    sides = {value.name: value.type.tensor_type.shape.dim[-1].dim_value
             for value in [*model.graph.value_info, *model.graph.output]
             if value.type.tensor_type.shape.dim}
    convolutions = [node for node in model.graph.node if node.op_type in _QUANTISED]
    names = [convolutions[0].name]
    for node in reversed(convolutions):
        # 1: inside an attention
        if sides.get(node.output[0]) not in (1, geometry.lr_size * geometry.scale):
            break
        names.append(node.name)
    return names


def _super_resolve(path: Path, contract: Contract, lr: Sequence[np.ndarray]
                   ) -> np.ndarray:
    """Maps LR faces, uint8 (h, h, 3) each, to uint8 (N, S, S, 3)."""
    network = session(path)
    return np.stack([contract.image(network.run(['output'], contract.feed(face))[0])
                     for face in lr])
