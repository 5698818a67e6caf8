"""Networks in 8-bit integers."""

import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np

from fdsr.apis.networks import FaceSetting
from fdsr.apis.pictures import BadPicture, as_arrays
from fdsr.geometry.alignment import resize
from fdsr.interchange.export.checking import session

#: How many faces ranges are taken from, and how many others the loss is measured on.
_CALIBRATION, _HELD_OUT = 48, 16
#: First of the drawn faces: none that anything here is trained on.
_FIRST_DRAWN = 500_000
#: Sums and products of rounded features lose more, and are no slower in fp32.
_QUANTISED = ('Conv', 'ConvTranspose')


def quantise(path: Path, setting: FaceSetting,
             faces: Optional[Union[str, Path]] = None) -> List[str]:
    """Replaces an ONNX file by one with int8 weights and activations.

    Static quantisation of convolutions (QDQ, a scale for each output channel). Those
    of ``_sensitive`` stay in fp32: what they round is seen at once.

    Args:
        path: of the ONNX file.
        setting: how faces are cut for the network.
        faces: folder of cut-out faces; default: faces that the project draws.

    Returns:
        What it cost, measured on faces that no range was taken from.

    Raises:
        ValueError: the folder has too few faces, or pictures that are none.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    hr = _faces(setting, faces)
    lr = np.stack([_as_input(resize(face, setting.lr_size)) for face in hr])
    held_out = max(1, len(hr) * _HELD_OUT // (_CALIBRATION + _HELD_OUT))
    prepared = path.with_name(f'prepared-{path.name}')
    rounded = path.with_name(f'int8-{path.name}')
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared), str(rounded), _Reader(lr[:-held_out]),
        quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=list(_QUANTISED), nodes_to_exclude=_sensitive(prepared))
    before, after = (_super_resolve(file, lr[-held_out:]) for file in (path, rounded))
    sizes = [file.stat().st_size / 1e6 for file in (path, rounded)]
    os.replace(rounded, path)
    return _report(before, after, hr[-held_out:], sizes,
                   'drawn faces' if faces is None else f'faces of {faces}')


def _report(before: np.ndarray, after: np.ndarray, hr: Sequence[np.ndarray],
            sizes: Sequence[float], what: str) -> List[str]:
    truth = np.stack(hr)
    loss = psnr(before, truth) - psnr(after, truth)
    return [
        f'int8: {sizes[1]:.2f} MB instead of {sizes[0]:.2f}',
        f'int8 loses {loss:.2f} dB against HR ({psnr(before, truth):.2f} to '
        f'{psnr(after, truth):.2f}) and is {psnr(after, before):.2f} dB from fp32: '
        f'mean PSNR of {len(truth)} {what} that no range was taken from, RGB, uint8']


def psnr(pictures: np.ndarray, truth: np.ndarray) -> float:
    """Mean over pictures of uint8 (N, H, W, 3), in dB; equal ones count as 99."""
    error = (pictures.astype(np.float64) - truth) ** 2
    error = np.maximum(error.mean(axis=(1, 2, 3)), 255**2 / 10**9.9)
    return float((10 * np.log10(255**2 / error)).mean())


def _faces(setting: FaceSetting,
           folder: Optional[Union[str, Path]]) -> List[np.ndarray]:
    """uint8 (S, S, 3) each."""
    if folder is None:
        import fdsr.datasets  # noqa: F401
        from fdsr.registry import DATASETS
        drawn = DATASETS.build(dict(
            type='fdsr.SyntheticFacesDataset', size=setting.size, first=_FIRST_DRAWN,
            length=_CALIBRATION + _HELD_OUT, test_mode=True, pipeline=[]))
        return [drawn[index]['img'] for index in range(len(drawn))]
    pictures = list(as_arrays(Path(folder)))
    if len(pictures) < 4:
        raise ValueError(f'{folder} has {len(pictures)} faces; some dozens are needed '
                         'to quantise by, at the very least 4.')
    for picture in pictures:
        if picture.shape[0] != picture.shape[1]:
            raise BadPicture(
                f'{folder} has a picture of {picture.shape[1]}x{picture.shape[0]} px; '
                'cut-out faces are squares.')
    return [resize(picture, setting.size)
            for picture in pictures[:_CALIBRATION + _HELD_OUT]]


def _as_input(face: np.ndarray) -> np.ndarray:
    return face.transpose(2, 0, 1).astype(np.float32) / 255


class _Reader:
    """Hands LR faces to the quantiser, one at a time."""

    def __init__(self, lr: np.ndarray) -> None:
        self._faces: Iterator[np.ndarray] = iter(lr)

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        """The next one, None at the end."""
        face = next(self._faces, None)
        return None if face is None else dict(lr=face[None])


def _sensitive(path: Path) -> List[str]:
    """The first convolution, and those at SR's size that nothing smaller follows.

    A student of docs/study.md loses 0.24 dB with only the very last of them in fp32,
    0.07 dB with all.
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
        if side not in (1, sides[graph.output[0].name]):  # 1: within an attention
            break
        names.append(node.name)
    return names


def _super_resolve(path: Path, lr: np.ndarray) -> np.ndarray:
    """(N, 3, h, h) to uint8 (N, S, S, 3)."""
    network: Any = session(path)
    sr: List[np.ndarray] = [network.run(['sr'], dict(lr=face[None]))[0] for face in lr]
    pictures = np.rint(np.clip(np.concatenate(sr), 0, 1) * 255).astype(np.uint8)
    shape: Tuple[int, ...] = (0, 2, 3, 1)
    return pictures.transpose(shape)
