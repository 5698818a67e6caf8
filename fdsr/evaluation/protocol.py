"""The protocol that goes with every number, and the files that hold both."""

import csv
import json
import math
import os
import platform
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, TextIO, Union

import torch

from fdsr.evaluation.markdown import markdown_table

Models = Dict[str, Dict[str, float]]
_PIL_BICUBIC = 'PIL bicubic, anti-aliased'


def hardware() -> Dict[str, Any]:
    """Returns where the numbers are made: CPU, cores, GPU, and versions."""
    import mmengine
    import torchvision
    facts = dict(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=torchvision.__version__,
        mmengine=mmengine.__version__)
    return facts


def _cpu_model() -> str:
    info = Path('/proc/cpuinfo')
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


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


def format_table(
    models: Models,
    protocol: Dict[str, Any],
    num_images: Optional[int] = None,
    skipped: int = 0,
) -> str:
    """Formats the results and their protocol in Markdown.

    Args:
        models: {model: {column: mean}}; the rows keep this order.
        protocol: as `build_protocol` returns.
        num_images: how many images the means are over.
        skipped: how many more the data set has.

    Returns:
        A table, an empty line, and one line for each fact.
    """
    columns = list(dict.fromkeys(name for means in models.values() for name in means))
    lines = [markdown_table(
        ['Model', *map(heading, columns)],
        [[model, *(cell(column, means.get(column)) for column in columns)]
         for model, means in models.items()]), '']
    if num_images is not None:
        lines.append(f'- images: {num_images}, skipped: {skipped}')
    return '\n'.join([*lines, *protocol_lines(protocol)])


def protocol_lines(protocol: Dict[str, Any]) -> List[str]:
    """A protocol in Markdown, one line for each fact."""
    lines = []
    for name, fact in protocol.items():
        if name == 'metrics':
            lines += [f'- {column}: {flat(facts)}' for column, facts in fact.items()]
        else:
            lines.append(f'- {name.replace("_", " ")}: {flat(fact)}')
    return lines


#: What columns begin with that get better upwards, and downwards.
_UPWARDS, _DOWNWARDS = ('PSNR', 'SSIM', 'ID'), ('LPIPS', 'FID')


def higher_is_better(column: str) -> bool:
    """Whether a column's larger values are the better ones."""
    return not column.startswith(_DOWNWARDS)


def heading(column: str) -> str:
    """A column's name with the direction in which it gets better."""
    if column.startswith(_UPWARDS):
        return f'{column} ↑'
    return f'{column} ↓' if column.startswith(_DOWNWARDS) else column


def digits(column: str) -> int:
    """Decimals that a column is printed with."""
    return 2 if column.startswith(('PSNR', 'FID')) else 4


def cell(column: str, value: Optional[float], sign: str = '') -> str:
    """A number as it is printed, a dash for none."""
    return '–' if value is None else f'{value:{sign}.{digits(column)}f}'


def flat(fact: Any) -> str:
    """A fact on one line."""
    if isinstance(fact, dict):
        return ', '.join(f'{name} {flat(value)}' for name, value in fact.items())
    return 'none' if fact is None else str(fact)


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


def write_json(path: Union[str, Path], content: Dict[str, Any]) -> None:
    """Writes a JSON file, whole or not.

    Args:
        path: the file; its folder is made.
        content: of plain, finite values.

    Raises:
        OSError: the folder cannot be written.
        TypeError, ValueError: it holds what JSON cannot.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + '\n')


def write_text(path: Union[str, Path], text: str) -> None:
    """Writes a text file, whole or not.

    Raises:
        OSError: the folder cannot be written.
    """
    _write_whole(path, lambda file: file.write(text))


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

    def write(file: TextIO) -> None:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)

    _write_whole(path, write)


def read_rows(path: Union[str, Path]) -> List[Dict[str, str]]:
    """Reads what ``write_rows`` wrote; values are strings.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def _write_whole(path: Union[str, Path], write: Callable[[TextIO], Any]) -> None:
    """Writes beside the target, then renames: readers see all of it or nothing."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f'.{path.name}.', suffix='.part', dir=path.parent)
    except OSError as error:
        raise OSError(
            error.errno, f'{error.strerror}: cannot write {path}; choose a folder that '
            'can be written') from error
    try:
        with os.fdopen(handle, 'w', encoding='utf-8', newline='') as file:
            write(file)
        # mkstemp makes private files; results are to be read as any other file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
