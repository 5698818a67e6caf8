"""The protocol that goes with every number, and the files that hold both."""

import csv
import math
from pathlib import Path
from typing import Any, Dict, List, Sequence, Union

from fdsr.utils.files import atomic_path, explained, write_json
from fdsr.utils.hardware import hardware

Models = Dict[str, Dict[str, float]]
_PIL_BICUBIC = 'PIL bicubic, anti-aliased'


def build_protocol(
    metrics: Dict[str, Dict[str, Any]],
    dataset: Dict[str, Any],
    resize_kernel: str = _PIL_BICUBIC,
) -> Dict[str, Any]:
    """Collects what has to be printed beside the numbers.

    Args:
        metrics: {column: facts}, as `FaceEvaluator.protocol` returns.
        dataset: facts of the data set, as `FaceDataset.protocol` returns.
        resize_kernel: how LR was made of HR.

    Returns:
        A dict that JSON can hold.
    """
    return dict(
        colour_space='RGB', border=0, rounding='clamped and rounded to uint8',
        resize_kernel=resize_kernel, metrics=metrics, dataset=dataset,
        hardware=hardware())


def write_metrics(
    path: Union[str, Path],
    models: Models,
    protocol: Dict[str, Any],
    num_images: int,
    skipped: int,
) -> None:
    """Writes metrics.json: {protocol, num_images, skipped, models}, whole or not.

    JSON has no infinity; the PSNR of equal images is written as the string 'inf'.

    Args:
        path: the file; its folder is made.
        models: {model: {column: mean}}.
        protocol: as `build_protocol` returns.
        num_images: how many images the means are over.
        skipped: how many more the data set has.

    Raises:
        OSError: the folder cannot be written.
        TypeError: the protocol holds what JSON cannot.
    """
    models = {
        model: {name: _json_number(value) for name, value in means.items()}
        for model, means in models.items()}
    write_json(path, dict(
        protocol=protocol, num_images=num_images, skipped=skipped, models=models))


def _json_number(value: float) -> Union[float, str]:
    return value if math.isfinite(value) else str(value)


def write_rows(path: Union[str, Path], rows: Sequence[Dict[str, Any]]) -> None:
    """Writes the values of each image and model as a CSV, whole or not.

    Args:
        path: the file; its folder is made.
        rows: as `FaceEvaluator.rows`: 'name', 'model' and a value a column.

    Raises:
        OSError: the folder cannot be written.
        ValueError: no rows.
    """
    if not rows:
        raise ValueError(f'{path}: there are no rows to write; evaluate first.')

    with (explained(path), atomic_path(path) as part,
          part.open('w', encoding='utf-8', newline='') as file):
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Union[str, Path]) -> List[Dict[str, str]]:
    """Reads what ``write_rows`` wrote; values are strings.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))
