"""What finding landmarks costs: a teacher needs them, a student does not."""

import statistics
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config

from fdsr.geometry.alignment import resize
from fdsr.landmarks import default_detector
from fdsr.profiling.measuring import Clock
from fdsr.profiling.profile import DETECTION, NOT_MEASURED, Part

_FACES = 8


def detection_part(detector: Any, pictures: Sequence[np.ndarray], source: str = '',
                   warmup: int = 1, repeats: int = 5) -> Part:
    """Times a landmark detector, on the CPU and picture by picture.

    Args:
        detector: whose ``detect`` takes a list of uint8 (H, W, 3) RGB and returns
            what it found in each, or None.
        pictures: up-sampled LR faces. A face that is not found may cost another time
            than one that is, so take several.
        source: of the pictures, for the note.
        warmup: passes over the pictures before those that are timed; one more, to
            count the faces that are found, comes first.
        repeats: timed passes.

    Returns:
        The cost of one picture; the note says in how many a face was found.
    """
    found = sum(face is not None for face in detector.detect(list(pictures)))
    times = Clock(torch.device('cpu'), warmup, repeats).milliseconds(
        lambda: detector.detect(list(pictures)))
    note = (f'{type(detector).__name__} on the CPU; a face found in {found} of '
            f'{len(pictures)} up-sampled LR pictures {source}')
    return Part(DETECTION, statistics.median(times) / len(pictures),
                note=note.rstrip())


def usual_detection_part(lr_size: int, sr_size: int, config: Optional[Config] = None,
                         warmup: int = 1, repeats: int = 5) -> Part:
    """``detection_part`` of fdsr's detector, or a part that says why it is not there.

    Args:
        lr_size, sr_size: sides of the pictures.
        config: whose test faces are looked at; without it, or where the data are not
            on this machine, faces that the project draws.
        warmup, repeats: as for ``detection_part``.
    """
    faces, source = _faces(config, sr_size)
    pictures = [resize(resize(face, lr_size), sr_size) for face in faces]
    try:
        from fdsr.registry import LANDMARKS
        detector = LANDMARKS.build(default_detector())
        # models are read at the first call, and may be missing only then
        return detection_part(detector, pictures, source, warmup, repeats)
    except (ImportError, KeyError, OSError, RuntimeError) as error:
        reason = error.args[0] if isinstance(error, KeyError) else error
        return Part(DETECTION, note=f'{NOT_MEASURED}: {reason}')


def _faces(config: Optional[Config], size: int) -> Tuple[List[np.ndarray], str]:
    """Up to eight HR faces, and where they are from."""
    from fdsr.registry import DATASETS
    loader = None if config is None else config.get('test_dataloader')
    settings = None if loader is None else loader.get('dataset')
    if settings is not None:
        try:
            dataset = DATASETS.build(dict(settings, pipeline=[]))
        except FileNotFoundError:
            pass  # the data are somewhere else; drawn faces will do
        else:
            items = (dataset[index] for index in range(min(_FACES, len(dataset))))
            faces = [resize(item['img'], size) for item in items if item is not None]
            if faces:
                return faces, f'of {dataset.name}'
    drawn = DATASETS.build(dict(
        type='fdsr.SyntheticFacesDataset', length=_FACES, size=size))
    return [drawn[index]['img'] for index in range(_FACES)], 'of drawn faces'
