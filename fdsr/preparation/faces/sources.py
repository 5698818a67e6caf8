"""Sources of faces: VGGFace2's layout, or any folder with landmarks."""
from __future__ import annotations

import os
from pathlib import Path
from string import whitespace

import numpy as np

from fdsr.datasets.reading import files_below, format_at
from fdsr.datasets.vggface2_files import (
    LANDMARK_COLUMNS,
    SUFFIXES,
    SplitFiles,
    find_files,
    read_csv,
)
from fdsr.datasets.vggface2_index import FaceIndex, open_index
from fdsr.preparation.faces.settings import Settings
from fdsr.preparation.faces.units import UNLISTED, as_csv
from fdsr.utils import storage
from fdsr.utils.files import atomic_path, write_bytes


def open_source(settings: Settings, work: Path) -> tuple[FaceIndex, Path]:
    """Returns the index of all listed images and their root folder.

    Args:
        settings: Settings of the preparation.
        work: Folder for temporary files.

    Raises:
        FileNotFoundError: The folder or a CSV is missing, or there is no image.
        ValueError: A CSV is malformed.
    """
    if settings.landmarks is None:
        files = find_files(settings.data_root, settings.listing)
        return open_index(files, settings.listing), files.images
    root = storage.as_path(settings.data_root)
    if not storage.is_remote(root) and not root.is_dir():
        raise FileNotFoundError(f'{root} is not a folder. Pass the folder of the '
                                'images that the landmarks belong to.')
    listing = work / 'list.txt'
    if not listing.exists():  # a resumed run keeps its list
        _write_list(root, listing)
    landmarks = storage.local(settings.landmarks)
    boxes = (storage.local(settings.boxes) if settings.boxes
             else work / landmarks.name)
    if not boxes.exists():
        _write_boxes(landmarks, boxes)
    files = SplitFiles(root, boxes, landmarks, listing)
    return open_index(files, 'tree', work / 'index'), root


def _write_list(root: Path, listing: Path) -> None:
    found, unlisted = 0, []
    with atomic_path(listing) as part:
        with part.open('w', encoding='utf-8') as file:
            for path in files_below(root):
                if os.path.splitext(path)[1].lower().encode() not in SUFFIXES:
                    kind = format_at(root / path)
                    if kind:
                        unlisted.append((repr(path)[1:-1], 'format', (
                            f'it is a {kind} image with another suffix: rename it')))
                        found += 1
                    continue
                found += 1
                if _is_listable(path):
                    file.write(f'{path}\n')
                else:
                    unlisted.append((repr(path)[1:-1], 'name', (
                        'its name has a line break, begins or ends with a space, or is '
                        'not UTF-8: rename it')))
        if found == len(unlisted):
            suffixes = ', '.join(suffix.decode() for suffix in SUFFIXES)
            raise FileNotFoundError(f'{root} contains no image: expected files '
                                    f'ending in {suffixes}.')
        write_bytes(listing.with_name(UNLISTED), as_csv(unlisted))


def _is_listable(path: str) -> bool:
    """Returns True if a path can be a line of a list."""
    try:
        path.encode()
    except UnicodeEncodeError:  # os.walk decodes other bytes to surrogates
        return False
    # ASCII only: a list is read as bytes, where other spaces are part of the name
    return path.strip(whitespace) == path and '\n' not in path and '\r' not in path


def _write_boxes(landmarks: Path, boxes: Path) -> None:
    """Writes squares from about the brows to the chin; a dummy for missing points."""
    names, numbers = read_csv(landmarks, LANDMARK_COLUMNS)
    points = numbers.reshape(-1, 5, 2).astype(np.float64)
    eyes = np.linalg.norm(points[:, 1] - points[:, 0], axis=1).clip(1)
    corners = points.mean(axis=1) - eyes[:, None]
    rows = np.column_stack([corners, 2 * eyes, 2 * eyes])
    rows[~np.isfinite(rows).all(1)] = (0, 0, 1, 1)  # the index reports the landmarks
    with atomic_path(boxes) as part, part.open('w', encoding='utf-8') as file:
        file.write('NAME_ID,X,Y,W,H\n')
        for name, row in zip(names, rows.tolist()):
            quoted = name.decode().replace('"', '""')
            file.write('"%s",%.3f,%.3f,%.3f,%.3f\n' % (quoted, *row))
