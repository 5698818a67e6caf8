"""Measures landmark detection, which teachers need and students do not."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from fdsr.geometry.alignment import resize
from fdsr.landmarks import default_detector
from fdsr.profiling.measuring import Clock
from fdsr.profiling.profile import DETECTION, NOT_MEASURED, Part

_FACES = 8


def detection_part(detector: Any, images: Sequence[np.ndarray], source: str = '',
                   warmup: int = 1, repeats: int = 5) -> Part:
    """Measures a landmark detector on the CPU.

    Args:
        detector: its ``detect`` maps a list of uint8 (H, W, 3) RGB to the landmarks in
            each, or None.
        images: upsampled LR faces. Pass several, because the time may depend on
            whether a face is found.
        source: origin of the images, for the note.
        warmup: untimed passes over the images. One more pass counts the faces found.
        repeats: timed passes.

    Returns:
        The cost per image; the note has the number of faces found.
    """
    found = sum(face is not None for face in detector.detect(list(images)))
    times = Clock(torch.device('cpu'), warmup, repeats).milliseconds(
        lambda: detector.detect(list(images)))
    note = (f'{type(detector).__name__} on the CPU; a face found in {found} of '
            f'{len(images)} upsampled LR images {source}')
    return Part(DETECTION, statistics.median(times) / len(images), note=note.rstrip())


def usual_detection_part(lr_size: int, sr_size: int, config: Config | None = None,
                         warmup: int = 1, repeats: int = 5) -> Part:
    """Measures fdsr's default detector, or notes why it is not available.

    Args:
        lr_size, sr_size: sides of LR and SR.
        config: a config with test faces; default, also if its data are missing:
            synthetic faces.
        warmup, repeats: as for ``detection_part``.
    """
    faces, source = _faces(config, sr_size)
    images = [resize(resize(face, lr_size), sr_size) for face in faces]
    try:
        from fdsr.registry import LANDMARKS
        detector = LANDMARKS.build(default_detector())
        # model files are read at the first call, so they may be missing only here
        return detection_part(detector, images, source, warmup, repeats)
    except (ImportError, KeyError, OSError, RuntimeError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        return Part(DETECTION, note=f'{NOT_MEASURED}: {reason}')


def _faces(config: Config | None, size: int) -> tuple[list[np.ndarray], str]:
    """Returns up to eight HR faces and their origin."""
    from fdsr.registry import DATASETS
    loader = config and config.get('test_dataloader')
    settings = loader and loader.get('dataset')
    if settings:
        try:
            dataset = DATASETS.build(dict(settings, pipeline=[]))
        except FileNotFoundError:
            pass  # the data are not on this machine; use synthetic faces
        else:
            items = (dataset[index] for index in range(min(_FACES, len(dataset))))
            faces = [resize(item['img'], size) for item in items if item is not None]
            if faces:
                return faces, f'of {dataset.name}'
    synthetic = DATASETS.build(dict(
        type='fdsr.SyntheticFacesDataset', length=_FACES, size=size))
    return [synthetic[index]['img'] for index in range(_FACES)], 'of synthetic faces'
