"""The protocol of a test, and the files that store results together with it."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fdsr.evaluation.metric_info import MetricInfo, column_infos
from fdsr.reporting.tables import markdown_table, protocol_lines
from fdsr.utils.files import atomic_path, explained, write_json
from fdsr.utils.hardware import hardware

Models = dict[str, dict[str, float]]
_PIL_BICUBIC = 'PIL bicubic, anti-aliased'


def build_protocol(
    metrics: dict[str, dict[str, Any]],
    dataset: dict[str, Any],
    resize_kernel: str = _PIL_BICUBIC,
    infos: Mapping[str, MetricInfo] | None = None,
) -> dict[str, Any]:
    """Collects the conditions under which results were measured.

    Args:
        metrics: {column: facts}, as `FaceEvaluator.protocol` returns them.
        dataset: Facts of the dataset, as `FaceDataset.protocol` returns them.
        resize_kernel: How LR was made from HR.
        infos: {column: info}, as `FaceEvaluator.infos`. Stored as `columns`.

    Returns:
        A dict of JSON values.
    """
    return dict(
        colour_space='RGB', border=0, rounding='clamped and rounded to uint8',
        resize_kernel=resize_kernel, metrics=metrics,
        columns={column: asdict(info) for column, info in (infos or {}).items()},
        dataset=dataset, hardware=hardware())


def format_table(
    models: Models,
    protocol: dict[str, Any],
    num_images: int | None = None,
    skipped: int = 0,
) -> str:
    """Formats results and their protocol as Markdown.

    Args:
        models: {model: {column: mean}}; the rows keep this order.
        protocol: As `build_protocol` returns it.
        num_images: Number of images that the means are taken over.
        skipped: Number of images of the dataset that were skipped.

    Returns:
        A table, an empty line, and one line per fact of the protocol.

    Raises:
        ValueError: A column is unknown, see `column_infos`.
    """
    columns = dict.fromkeys(name for means in models.values() for name in means)
    infos = column_infos(protocol, columns)
    lines = [markdown_table(
        ['Model', *(info.heading(column) for column, info in infos.items())],
        [[model, *(info.format(means.get(column)) for column, info in infos.items())]
         for model, means in models.items()]), '']
    if num_images is not None:
        lines.append(f'- images: {num_images}, skipped: {skipped}')
    return '\n'.join([*lines, *protocol_lines(protocol)])


def write_metrics(
    path: str | Path,
    models: Models,
    protocol: dict[str, Any],
    num_images: int,
    skipped: int,
) -> None:
    """Writes metrics.json atomically: {protocol, num_images, skipped, models}.

    JSON has no infinity; the PSNR of equal images is stored as the string 'inf'.

    Args:
        path: The file; missing folders are created.
        models: {model: {column: mean}}.
        protocol: As `build_protocol` returns it.
        num_images: Number of images that the means are taken over.
        skipped: Number of images of the dataset that were skipped.

    Raises:
        OSError: The file cannot be written.
        TypeError: The protocol contains a value that JSON cannot store.
    """
    models = {
        model: {name: value if math.isfinite(value) else str(value)
                for name, value in means.items()}
        for model, means in models.items()}
    write_json(path, dict(
        protocol=protocol, num_images=num_images, skipped=skipped, models=models))


def write_rows(path: str | Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes one CSV line per row, atomically.

    Args:
        path: The file; missing folders are created.
        rows: Dicts with the same keys, as `FaceEvaluator.rows`.

    Raises:
        OSError: The file cannot be written.
        ValueError: `rows` is empty.
    """
    if not rows:
        raise ValueError(f'{path}: there are no rows to write. Evaluate first.')
    with (explained(path), atomic_path(path) as part,
          part.open('w', encoding='utf-8', newline='') as file):
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """Reads a CSV that `write_rows` wrote; all values are strings.

    Raises:
        FileNotFoundError: The file does not exist.
    """
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))
