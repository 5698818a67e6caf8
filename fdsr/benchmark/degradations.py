"""Benchmarks over several degradations of the same faces: one table of all."""

import copy
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from fdsr.benchmark.benchmark_table import BenchmarkTable, Table
from fdsr.benchmark.methods import slug_of
from fdsr.benchmark.running import Row, run_benchmark
from fdsr.datasets.base import BadSample, FaceDataset
from fdsr.evaluation.skin_tone import SKIN_TONES, skin_tone, typology_angle
from fdsr.registry import DATASETS
from fdsr.reporting.tables import SpanningNote, flat, latex_table, markdown_table

#: Rows of every degradation.
Results = dict[str, list[Row]]
#: Columns that share a cell.
_SHOWN = ('PSNR', 'LPIPS')
_TO_LR = ('DownsampleToLR', 'BlindDegradation')
#: Name of all faces among the lists.
ALL = 'all'
_MISSING, _SEED = '–', 0


def run_degradations(config: Config, out: str | Path,
                     after_each: Callable[[Results], None] = lambda results: None
                     ) -> Results:
    """Measures every method on every degradation, see ``run_benchmark``.

    Args:
        config: As for ``run_benchmark``, with ``degradations``: {name: steps of
            ``BlindDegradation``}. An empty list is clean LR. The costs are measured
            with the first degradation only.
        out: Folder of the table; each degradation has a folder in it.
        after_each: Called with all results so far after each degradation.

    Returns:
        The rows of each degradation, in the order of the config.

    Raises:
        ValueError, ImportError, FileNotFoundError: See ``run_benchmark`` and
            ``degraded_config``.
    """
    configs = {name: degraded_config(config, name) for name in config.degradations}
    results: Results = {}
    for name, one in configs.items():
        print_log(f'degradation {len(results) + 1} of {len(configs)}: {name}',
                  logger=None, level=logging.INFO)
        results[name] = run_benchmark(one, Path(out) / slug_of(name))
        after_each(results)
    return results


def degraded_config(config: Config, name: str) -> Config:
    """Returns the benchmark's config of one degradation.

    ``BlindDegradation`` with the steps of the degradation and a fixed seed replaces the
    step that creates LR in the test pipeline.

    Raises:
        ValueError: The pipeline does not have exactly one such step.
    """
    one = copy.deepcopy(config)
    steps = one.pop('degradations')[name]
    if name != next(iter(config.degradations)):
        one.profile = False
    pipeline = one.test_dataloader.dataset.pipeline
    found = [number for number, step in enumerate(pipeline)
             if step['type'].split('.')[-1] in _TO_LR]
    if len(found) != 1:
        raise ValueError(
            f'{config.filename}: degradations need one step of {" or ".join(_TO_LR)} '
            f'in the test pipeline, found {len(found)}.')
    pipeline[found[0]] = dict(
        pipeline[found[0]], type='fdsr.BlindDegradation', steps=steps, seed=_SEED)
    return one


def test_lists(config: Config) -> dict[str, list[str]]:
    """Returns the groups of test faces that have a table of their own.

    They are the datasets of a ``ConcatFaces`` and, with ``skin_tones=True`` in the
    config, the faces of each skin tone, see ``fdsr.evaluation.skin_tone``.

    Returns:
        {name of the group: names of its samples}; empty for another dataset without
        ``skin_tones``.

    Raises:
        ValueError: Two datasets have the same name, or two samples.
    """
    dataset = DATASETS.build(config.test_dataloader.dataset)
    datasets = getattr(dataset, 'datasets', [])
    found = {one.name: [one.sample_name(index) for index in range(len(one))]
             for one in datasets}
    samples = [name for names in found.values() for name in names]
    if len(found) < len(datasets) or len(set(samples)) < len(samples):
        raise ValueError(
            f'{config.filename}: expected datasets and samples with different names, '
            f'found the datasets {[one.name for one in datasets]} with {len(samples)} '
            f'samples and {len(set(samples))} names. Set name in each dataset, and '
            'list each face once.')
    if config.get('skin_tones'):
        found.update(_by_skin_tone(dataset))
    return found


def _by_skin_tone(dataset: FaceDataset) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name, _ in SKIN_TONES}
    for index in range(len(dataset)):
        try:
            face = dataset.load(index)
        except BadSample:  # has no values either; the run reports it
            continue
        found[skin_tone(typology_angle(face['img'], face['landmarks']))].append(
            dataset.sample_name(index))
    return {name: names for name, names in found.items() if names}


class DegradationTable:
    """The tables of a benchmark over several degradations.

    Args:
        results: The rows of each degradation.
        lists: {name: names of the images}; if there are several, each has a table.
        reference: Name of the method with which the others are compared image by image;
            None for no comparison.

    Raises:
        ValueError: See ``BenchmarkTable``.
    """

    def __init__(self, results: Results, lists: dict[str, list[str]] | None = None,
                 reference: str | None = None) -> None:
        lists = lists or {}
        sets: dict[str, Collection[str] | None] = {
            ALL: None, **({} if len(lists) < 2 else {
                name: set(names) for name, names in lists.items()})}
        self.results, self.reference = results, reference
        #: {test list: {degradation: table}}
        self.tables = {
            faces: {name: BenchmarkTable([_only(row, images) for row in rows],
                                         reference)
                    for name, rows in results.items()}
            for faces, images in sets.items()}
        whole = self.tables[ALL].values()
        self.columns = [*dict.fromkeys(
            column for table in whole for column in table.columns)]
        self.infos = {column: info for table in whole
                      for column, info in table.infos.items()}

    # Cells

    def means(self, columns: Sequence[str], faces: str = ALL) -> Table:
        """Returns the means of all methods and degradations, columns joined by ' / '.
        """
        def cell(table: BenchmarkTable, row: Row) -> str:
            found = [table.estimates.get((row.method.name, name)) for name in columns]
            return _MISSING if not any(found) else ' / '.join(
                self.infos[name].format(value and value.mean)
                for name, value in zip(columns, found))
        return self._pivot(self.tables[faces], cell)

    def differences(self, column: str) -> Table:
        """Returns the differences from the reference with their intervals."""
        def cell(table: BenchmarkTable, row: Row) -> str:
            found = table.differences.get((row.method.name, column))
            return _MISSING if found is None else self.infos[column].interval(
                found[0], sign='+')
        header, cells = self._pivot(self.tables[ALL], cell)
        return header, [row for row in cells if any(
            value not in ('', _MISSING) for value in row[1:]
            if not isinstance(value, SpanningNote))]

    def _pivot(self, tables: dict[str, BenchmarkTable],
               cell: Callable[[BenchmarkTable, Row], str]) -> Table:
        cells: list[list[str]] = []
        for number, row in enumerate(next(iter(self.results.values()))):
            rows = [table.rows[number] for table in tables.values()]
            cells.append([row.method.name, *(
                [SpanningNote(row.problem)] + [''] * (len(rows) - 1)
                if all(one.problem for one in rows) else
                map(cell, tables.values(), rows))])
        return ['Method', *tables], cells

    def named_tables(self) -> dict[str, Table]:
        """Returns all tables in order, by their heading."""
        shown = [name for name in _SHOWN if name in self.columns] or [*_SHOWN]
        found: dict[str, Table] = {}
        for faces, tables in self.tables.items():
            label = self._headings(shown)
            if faces != ALL:
                label += f', {faces} ({self._num_images(tables)} images)'
            found[label] = self.means(shown, faces)
        for column in self.columns:
            if column not in shown:
                found[self._headings([column])] = self.means([column])
        for column in self.columns if self.reference else ():
            found[f'Δ {self._headings([column])} to {self.reference}, image by image'
                  ] = self.differences(column)
        found['Cost'] = next(iter(self.tables[ALL].values())).cost()
        return {name: table for name, table in found.items() if table[1]}

    def _headings(self, columns: Sequence[str]) -> str:
        return ' / '.join(self.infos[column].heading(column) for column in columns)

    @staticmethod
    def _num_images(tables: dict[str, BenchmarkTable]) -> int:
        return max((len(values) for table in tables.values() for row in table.measured
                    for values in row.values.values()), default=0)

    # Files

    def markdown(self, title: str) -> str:
        """Returns all tables and the protocol as a Markdown page."""
        parts = [f'# {title}']
        for name, table in self.named_tables().items():
            parts += ['', f'## {name}', '', markdown_table(*table)]
        return '\n'.join([*parts, '', '## Protocol', '', *self.notes()]) + '\n'

    def notes(self) -> list[str]:
        """Returns the protocol of the first degradation, and what the others change."""
        tables = self.tables[ALL]
        lines = next(iter(tables.values())).notes()
        for name, table in tables.items():
            if table.measured:
                kernel = table.measured[0].facts['protocol']['resize_kernel']
                lines.append(f'- LR, {name}: {flat(kernel)}')
            lines += [f'- {row.method.name}, {name}: {row.problem}'
                      for row in table.rows if row.failed]
        return lines

    def latex(self) -> str:
        """Returns all tables as booktabs tabulars, with the protocol as comments."""
        lines = [*(f'% {line[2:]}' for line in self.notes()),
                 r'% needs \usepackage{booktabs}']
        for name, table in self.named_tables().items():
            lines += ['', f'% {name}', latex_table(*table)]
        return '\n'.join(lines) + '\n'

    def records(self) -> list[dict[str, Any]]:
        """Returns one dict per test list, degradation and method, for a CSV."""
        records = [
            dict(method=record['method'], degradation=name, faces=faces,
                 **{**{key: value for key, value in record.items() if key != 'method'},
                    'images': len(next(iter(row.values.values()), {}))})
            for faces, tables in self.tables.items() for name, table in tables.items()
            for row, record in zip(table.rows, table.records())]
        keys = dict.fromkeys(key for record in records for key in record)
        return [{key: record.get(key, '') for key in keys} for record in records]

    def image_rows(self) -> list[dict[str, Any]]:
        """Returns one dict per image, degradation and method, for a CSV."""
        return [dict(degradation=name, **row)
                for name, table in self.tables[ALL].items()
                for row in table.image_rows()]


def degradation_tables_of(config: Config,
                          results: Results) -> tuple[DegradationTable, str]:
    """Returns the tables of a benchmark over several degradations, and the title.

    Raises:
        ValueError: See ``test_lists`` and ``DegradationTable``.
    """
    title = config.get('title') or Path(config.filename).stem
    return DegradationTable(
        results, test_lists(config), config.get('reference')), title


def _only(row: Row, images: Collection[str] | None) -> Row:
    """Returns the row's values of some images; None: all."""
    if images is None:
        return row
    return replace(row, set_values={}, values={
        column: {name: value for name, value in values.items() if name in images}
        for column, values in row.values.items()})
