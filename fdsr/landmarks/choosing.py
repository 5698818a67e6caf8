"""Selection of a landmark detector, by name or by availability."""

import logging
from functools import lru_cache
from typing import Any

from fdsr.landmarks.yunet import find_yunet, how_to_get_yunet, model_file
from fdsr.weights.files import package_file

#: {name on command lines: (type for faces, type for photographs)}
DETECTORS = {
    'mediapipe': ('fdsr.MediaPipeLandmarks', 'fdsr.MediaPipePhotoLandmarks'),
    'yunet': ('fdsr.YuNetLandmarks', 'fdsr.YuNetPhotoLandmarks'),
}
#: Files of mediapipe up to 0.10.21; later releases lack them.
_MEDIAPIPE_FILES = (
    ('python', 'solutions', 'face_mesh.py'),
    ('modules', 'face_landmark', 'face_landmark_with_attention.tflite'),
    ('modules', 'face_detection', 'face_detection_full_range_sparse.tflite'),
)


def default_detector() -> dict[str, Any]:
    """Returns the config of the default detector for images of one face.

    It is MediaPipe if it is installed with its models, otherwise YuNet if its model
    file is found. Neither is imported or loaded.

    Raises:
        ImportError: neither is available; the message explains how to install them.
    """
    return dict(type=DETECTORS[_available()][0])


def default_photo_detector() -> dict[str, Any]:
    """Returns the config of the default detector for photographs."""
    return dict(type=DETECTORS[_available()][1])


def named_detector(name: str, photo: bool = False) -> dict[str, Any]:
    """Returns the config of a detector named on a command line.

    Args:
        name: ``mediapipe``, ``yunet``, or the path of a YuNet model file ``*.onnx``.
        photo: for photographs, rather than images of one face.

    Raises:
        FileNotFoundError: YuNet's model file does not exist.
        ValueError: another name, or a model file that is damaged.
    """
    path = name if name.lower().endswith('.onnx') else None
    if path or name == 'yunet':
        model_file(path)
    if path:
        return dict(type=DETECTORS['yunet'][photo], model=path)
    if name in DETECTORS:
        return dict(type=DETECTORS[name][photo])
    raise ValueError(
        f'--detector: expected {", ".join(DETECTORS)} or the path of a YuNet model '
        f'file *.onnx, found {name!r}.')


def detector_config(name: str | None) -> dict[str, Any]:
    """Returns the config of a detector for images of one face.

    Args:
        name: a registered type, or a name for ``named_detector``; None: the default.

    Raises:
        ImportError, FileNotFoundError, ValueError: see ``default_detector`` and
            ``named_detector``.
    """
    if name is None:
        return default_detector()
    if name in DETECTORS or name.lower().endswith('.onnx'):
        return named_detector(name)
    return dict(type=name)


def _available() -> str:
    """Returns the name of the first available detector."""
    if all(package_file('mediapipe', *parts) for parts in _MEDIAPIPE_FILES):
        return 'mediapipe'
    model = find_yunet()
    if model is None:
        raise ImportError(
            'No face detector is available. Install MediaPipe, whose models are in the '
            'package: pip install "fdsr[landmarks]" (Python 3.10 to 3.12, numpy 1). Or '
            'use YuNet, which OpenCV runs on every supported Python: '
            f'{how_to_get_yunet()}, or pass the path of the file: --detector PATH, '
            "in Python landmarks=dict(type='fdsr.YuNetLandmarks', model=PATH).")
    _report(str(model))
    return 'yunet'


@lru_cache(maxsize=None)
def _report(model: str) -> None:
    """Logs once that YuNet replaces MediaPipe."""
    from mmengine.logging import print_log
    print_log(
        f'Face detector: YuNet ({model}); mediapipe with its models is not installed.',
        logger='current', level=logging.INFO)
