"""Result files of finished runs."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdsr.evaluation.protocol import read_rows, write_rows
from projects.distillation_study.study.statistics import Samples

LISTS = ('val', 'test')
METRICS = ('PSNR', 'SSIM', 'LPIPS', 'LPIPS-vgg16', 'ID-dlib')
_OPTIONAL = ('ID-dlib',)  # takes longer than all others together
_KEYS = ('list', 'name')
_RESULT = re.compile(r'(?P<arm>.+)-s(?P<seed>\d+)\.csv')
#: (T,) iterations and the (T,) values logged at them.
Series = tuple[np.ndarray, np.ndarray]
Curve = dict[str, Series]
PathLike = str | Path


def result_path(folder: PathLike, arm: str, seed: int) -> Path:
    """Returns the file of a run's values for each image."""
    return Path(folder) / f'{arm}-s{seed}.csv'


def curve_path(folder: PathLike, arm: str, seed: int) -> Path:
    """Returns the file of a run's logged values."""
    return Path(folder) / f'{arm}-s{seed}-curve.csv'


def is_finished(folder: PathLike, arm: str, seed: int) -> bool:
    """Returns True if a run's values exist; they are written last, and atomically."""
    return result_path(folder, arm, seed).is_file()


def write_result(folder: PathLike, arm: str, seed: int,
                 rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes a run's values, which marks it as finished.

    Args:
        folder: folder of the results; created if missing.
        arm: name of the arm.
        seed: seed of the run.
        rows: one per image, with ``list``, ``name`` and every metric as number or text,
            ``ID-dlib`` only if it was measured; other columns are ignored. Five digits
            are stored.

    Returns:
        The file.

    Raises:
        OSError: the folder cannot be written.
        ValueError: a column is missing, a value is not a finite number, or an image
            is listed twice.
    """
    path = result_path(folder, arm, seed)
    _values_of(path, rows)
    write_rows(path, [
        {**{key: row[key] for key in _KEYS},
         **{key: _short(float(row[key])) for key in _measured(rows)}} for row in rows])
    return path


def write_curve(folder: PathLike, arm: str, seed: int,
                rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes a run's logged values.

    Args:
        folder: folder of the results; created if missing.
        arm: name of the arm.
        seed: seed of the run.
        rows: each with ``iteration`` and the values logged at it. Five digits are
            stored.

    Returns:
        The file.

    Raises:
        OSError: the folder cannot be written.
        ValueError: there are no rows, or a value is not a number.
    """
    path = curve_path(folder, arm, seed)
    columns = [*dict.fromkeys(['iteration', *(key for row in rows for key in row)])]
    table = [{key: row.get(key, '') for key in columns} for row in rows]
    _curve_of(path, table)
    write_rows(path, [
        {key: value if key == 'iteration' else _short(value)
         for key, value in row.items()} for row in table])
    return path


def _short(value: Any) -> str:
    return '' if value in ('', None) else f'{float(value):.5g}'


class Results:
    """The values and curves of all finished runs of a folder.

    Args:
        values: {(arm, seed): {list: {metric: {image: value}}}}.
        curves: {(arm, seed): curve}; not every run has one.
    """

    def __init__(self, values: dict[tuple[str, int], '_Lists'],
                 curves: dict[tuple[str, int], Curve]) -> None:
        self._values, self._curves = values, curves

    @property
    def arms(self) -> list[str]:
        """Names of the arms with a finished run."""
        return [*dict.fromkeys(arm for arm, _ in sorted(self._values))]

    def seeds(self, arm: str) -> tuple[int, ...]:
        """Returns the seeds of an arm's finished runs."""
        return tuple(sorted(seed for name, seed in self._values if name == arm))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of ``METRICS`` that were measured in every run."""
        found = [columns for lists in self._values.values()
                 for columns in lists.values()]
        return tuple(metric for metric in METRICS
                     if all(metric in columns for columns in found))

    def images(self, which: str) -> tuple[str, ...]:
        """Returns the names of a list's images, in the order of the values."""
        lists = next(iter(self._values.values()), {})
        return tuple(sorted(lists[which][METRICS[0]])) if which in lists else ()

    def samples(self, arm: str, which: str, metric: str) -> Samples:
        """Returns the values of an arm.

        Args:
            arm: name of the arm.
            which: ``val`` or ``test``.
            metric: one of ``metrics``.

        Raises:
            KeyError: the arm has no finished run, or list or metric are unknown.
        """
        seeds, names = self.seeds(arm), self.images(which)
        if not seeds or not names or metric not in self.metrics:
            raise KeyError(
                f'There are no results of {arm!r} on {which!r} in {metric!r}; finished '
                f'are {", ".join(self.arms) or "none"}.')
        return Samples(seeds, np.array([
            [self._values[arm, seed][which][metric][name] for name in names]
            for seed in seeds]))

    def curves(self, arm: str) -> dict[int, Curve]:
        """Returns {seed: {column: iterations and values}} of the runs with a curve."""
        return {seed: self._curves[arm, seed] for seed in self.seeds(arm)
                if (arm, seed) in self._curves}


def read_results(folder: PathLike) -> Results:
    """Reads every finished run of a folder.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: a file is damaged, or the images of two runs differ.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'There is no folder of results at {folder}.')
    values, curves = {}, {}
    for path in sorted(folder.glob('*.csv')):
        found = _RESULT.fullmatch(path.name)
        if found:
            run = found['arm'], int(found['seed'])
            values[run] = _values_of(path, read_rows(path))
            curve = curve_path(folder, *run)
            if curve.is_file():
                curves[run] = _curve_of(curve, read_rows(curve))
    _check_images(folder, values)
    return Results(values, curves)


_Lists = dict[str, dict[str, dict[str, float]]]


def _values_of(path: Path, rows: Sequence[Mapping[str, Any]]) -> _Lists:
    """Returns {list: {metric: {name: value}}} and checks every value."""
    metrics = _measured(rows)
    _check_columns(path, rows, (*_KEYS, *metrics))
    lists: _Lists = {}
    for number, row in enumerate(rows, 2):
        if row['list'] not in LISTS:
            raise ValueError(
                f'{path}, line {number}, column list: expected one of '
                f'{", ".join(LISTS)}, found {row["list"]!r}.')
        columns = lists.setdefault(row['list'], {metric: {} for metric in metrics})
        for metric in metrics:
            if row['name'] in columns[metric]:
                raise ValueError(f'{path}, line {number}, column name: '
                                 f'{row["name"]!r} is listed twice in {row["list"]}.')
            columns[metric][row['name']] = _number(path, number, metric, row[metric])
    return lists


def _measured(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the metrics that rows must have."""
    return [metric for metric in METRICS
            if metric not in _OPTIONAL or any(metric in row for row in rows)]


def _curve_of(path: Path, rows: Sequence[Mapping[str, Any]]) -> Curve:
    _check_columns(path, rows, ('iteration',))
    points: dict[str, list[tuple[float, float]]] = {}
    for number, row in enumerate(rows, 2):
        iteration = _number(path, number, 'iteration', row['iteration'])
        for column, value in row.items():
            if column != 'iteration' and value not in ('', None):
                points.setdefault(column, []).append(
                    (iteration, _number(path, number, column, value, finite=False)))
    return {column: tuple(np.array(sorted(found)).T)
            for column, found in points.items()}


def _check_columns(path: Path, rows: Sequence[Mapping[str, Any]],
                   columns: Sequence[str]) -> None:
    if not rows:
        raise ValueError(f'{path}: there are no rows; test the run again.')
    for number, row in enumerate(rows, 2):
        for column in columns:
            if row.get(column) in ('', None):
                raise ValueError(f'{path}, line {number}: column {column} is missing; '
                                 f'found are {", ".join(map(str, row))}.')


def _number(path: Path, line: int, column: str, value: Any,
            finite: bool = True) -> float:
    try:
        number = float(value)
    except ValueError:
        number = None
    if number is None or (finite and not math.isfinite(number)):
        raise ValueError(f'{path}, line {line}, column {column}: expected a '
                         f'{"finite " if finite else ""}number, found {value!r}.')
    return number


def _check_images(folder: Path, values: dict[tuple[str, int], _Lists]) -> None:
    """Checks that all runs have the same images, which comparisons need."""
    images = {run: {which: set(columns[METRICS[0]]) for which, columns in lists.items()}
              for run, lists in values.items()}
    first = next(iter(images), None)
    for run, found in images.items():
        for which in LISTS:
            other = found.get(which, set()) ^ images[first].get(which, set())
            if other:
                raise ValueError(
                    f'{result_path(folder, *run)}, column name: the images of {which} '
                    f'differ from those of {result_path(folder, *first).name}; '
                    f'{len(other)} are in only one of them, e.g. '
                    f'{sorted(other)[0]!r}.')
