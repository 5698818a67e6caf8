"""A network with YuNet's outputs that detects red cells, for cv2.FaceDetectorYN."""

import math
from pathlib import Path

import numpy as np
import pytest

#: Size of the box around a red cell of 8 × 8 pixels, and its points relative to the
#: cell's centre, in pixels of the 640 × 640 that YuNet receives.
WIDTH, HEIGHT = 64, 80
OFFSETS = np.array([[-16, -12], [16, -8], [2, 4], [-12, 20], [10, 24]], np.float32)
CHANNELS = dict(cls=1, obj=1, bbox=4, kps=10)


def write_toy_yunet(path: Path, channels: dict | None = None, stride: int = 8) -> Path:
    """Writes the network; the score of a cell is its mean red, 0 to 1.

    Args:
        path: file to write.
        channels: {output: channels}; default: YuNet's.
        stride: of the outputs that detect; those of the other two never do.
    """
    onnx = pytest.importorskip('onnx', reason='needs fdsr[onnx]')
    helper, nodes, weights, outputs = onnx.helper, [], [], []

    def constant(name: str, value: np.ndarray) -> str:
        weights.append(onnx.numpy_helper.from_array(value, name))
        return name

    for name, count in (channels or CHANNELS).items():
        for side in (8, 16, 32):
            kernel, bias = _convolution(name, count, side, side == stride)
            out = f'{name}_{side}'
            nodes += [
                helper.make_node('Conv', ['input', constant(f'{out}_w', kernel),
                                          constant(f'{out}_b', bias)],
                                 [f'{out}_map'], strides=[side, side],
                                 kernel_shape=[side, side]),
                helper.make_node('Transpose', [f'{out}_map'], [f'{out}_last'],
                                 perm=[0, 2, 3, 1]),
                helper.make_node('Reshape', [f'{out}_last', constant(
                    f'{out}_shape', np.array([1, -1, count]))], [out])]
            outputs.append(helper.make_tensor_value_info(
                out, onnx.TensorProto.FLOAT, [1, (640 // side) ** 2, count]))
    # like the published file, for inputs of this very size
    image = helper.make_tensor_value_info(
        'input', onnx.TensorProto.FLOAT, [1, 3, 640, 640])
    model = helper.make_model(
        helper.make_graph(nodes, 'toy', [image], outputs, weights),
        opset_imports=[helper.make_opsetid('', 11)], ir_version=6)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def _convolution(name: str, count: int, side: int, detects: bool):
    """The weight and bias that give an output of one stride."""
    kernel = np.zeros((count, 3, side, side), np.float32)
    bias = np.zeros(count, np.float32)
    if name in ('cls', 'obj') and detects:
        kernel[0, 2] = 1 / (255 * side * side)  # OpenCV's channels are B, G, R
    if name == 'bbox' and count == 4:
        bias[:] = 0.5, 0.5, math.log(WIDTH / side), math.log(HEIGHT / side)
    if name == 'kps':
        bias[:] = (0.5 + OFFSETS / side).ravel()[:count]
    return kernel, bias
