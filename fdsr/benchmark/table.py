"""A benchmark's rows as tables: in Markdown, in LaTeX, and as CSV to compute with."""

import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from mmengine.config import Config

from fdsr.benchmark.costs import cost_cells, cost_header, flat_profile, profile_notes
from fdsr.benchmark.running import Row
from fdsr.evaluation.protocol import write_rows
from fdsr.reporting.numbers import cell, flat, heading, higher_is_better, interval
from fdsr.reporting.statistics import (
    CONFIDENCE,
    RESAMPLES,
    Estimate,
    bootstrap_mean,
    paired_difference,
)
from fdsr.reporting.tables import latex, markdown, protocol_lines
from fdsr.utils.files import write_text

#: The columns of the paper's Table 1.
PAPER_COLUMNS = ('PSNR', 'SSIM', 'LPIPS')
Cells = List[List[str]]


class BenchmarkTable:
    """What is printed of a benchmark.

    Args:
        rows: in order.
        reference: name of the method that the others are compared with, image by
            image; None for no comparison.
        with_paper: whether the paper's numbers stand beside.
        note: on the setting.

    Raises:
        ValueError: the measured methods were not measured on the same images.
    """

    def __init__(self, rows: Sequence[Row], reference: Optional[str] = None,
                 with_paper: bool = False, note: str = '') -> None:
        self.rows, self.note = list(rows), note
        self.with_paper = with_paper
        self.measured = [row for row in rows if not row.problem]
        names = [row.method.name for row in self.measured]
        self.wanted_reference = reference
        self.reference = reference if reference in names else None
        columns = dict.fromkeys(name for row in self.measured for name in row.values)
        self.columns = [*columns]
        self.set_columns = [*dict.fromkeys(
            name for row in self.measured for name in row.set_values)]
        _check_images(self.measured)
        self.estimates = {
            (row.method.name, column): bootstrap_mean(np.array([*values.values()]))
            for row in self.measured for column, values in row.values.items()}
        self.differences = self._compare()

    def _compare(self) -> Dict[Tuple[str, str], Tuple[Estimate, Tuple[float, float]]]:
        if self.reference is None:
            return {}
        base = next(row for row in self.measured if row.method.name == self.reference)
        return {
            (row.method.name, column): paired_difference(values, base.values[column])
            for row in self.measured if row is not base
            for column, values in row.values.items() if column in base.values}

    # Cells

    def quality(self) -> Tuple[List[str], Cells]:
        """Header and rows of the paper's columns."""
        columns = [name for name in PAPER_COLUMNS
                   if name in self.columns] or list(PAPER_COLUMNS)
        header = ['Method', *map(heading, columns)]
        if self.with_paper:
            header += [f'{heading(name)}, paper' for name in columns]
        cells = []
        for row in self.rows:
            found = ([row.problem] + [''] * (len(columns) - 1) if row.problem
                     else [self._estimate(row, column) for column in columns])
            papers = [cell(column, row.method.paper.get(column))
                      for column in columns] if self.with_paper else []
            cells.append([row.method.name, *found, *papers])
        return header, cells

    def other_metrics(self) -> Tuple[List[str], Cells]:
        """Header and rows of all other columns; no rows if there are none."""
        columns = [name for name in self.columns if name not in PAPER_COLUMNS]
        header = ['Method', *map(heading, [*columns, *self.set_columns])]
        cells = [
            [row.method.name, *(self._estimate(row, column) for column in columns),
             *(cell(column, row.set_values.get(column))
               for column in self.set_columns)] for row in self.measured]
        return header, cells if columns or self.set_columns else []

    def paired(self) -> Tuple[List[str], Cells]:
        """Header and rows of the differences to the reference."""
        columns = [name for name in self.columns if name in PAPER_COLUMNS]
        header = ['Method', *(f'Δ {heading(name)}' for name in columns),
                  *(f'{name} better on' for name in columns)]
        cells = []
        for row in self.measured:
            found = [self.differences.get((row.method.name, name)) for name in columns]
            if found and all(found):
                cells.append([
                    row.method.name,
                    *(interval(name, difference, sign='+')
                      for name, (difference, _) in zip(columns, found)),
                    *(f'{share if higher_is_better(name) else lower:.0%}'
                      for name, (_, (share, lower)) in zip(columns, found))])
        return header, cells

    def cost(self) -> Tuple[List[str], Cells]:
        """Header and rows of what a method costs."""
        profiles = self._profiles()
        if not profiles:
            return [], []
        cells = [[name, *cost_cells(profile)] for name, profile in profiles.items()]
        return cost_header([*profiles.values()]), cells

    def _profiles(self) -> Dict[str, Any]:
        return {row.method.name: row.facts['profile'] for row in self.measured
                if row.facts.get('profile')}

    def _estimate(self, row: Row, column: str) -> str:
        found = self.estimates.get((row.method.name, column))
        return cell(column, None) if found is None else interval(column, found)

    # Files

    def markdown(self, title: str) -> str:
        """Everything, with its protocol."""
        parts = [f'# {title}', '', *markdown(*self.quality())]
        for name, table in (
                ('Other metrics', self.other_metrics()),
                (f'Differences to {self.reference}, image by image', self.paired()),
                ('Cost', self.cost())):
            if table[1]:
                parts += ['', f'## {name}', '', *markdown(*table)]
        return '\n'.join([*parts, '', '## Protocol', '', *self.notes()]) + '\n'

    def notes(self) -> List[str]:
        """What has to stand beside the numbers, one line each."""
        lines = [f'- {row.method.name}: {row.facts["caption"]}'
                 for row in self.measured if row.facts.get('caption')]
        lines += [f'- {self.note}'] if self.note else []
        lines += self._gaps()
        if self.measured:
            facts = self.measured[0].facts
            lines += [
                f'- intervals: {CONFIDENCE:.0%}, percentile bootstrap over the images, '
                f'{RESAMPLES} resamples; another training run is not in them',
                f'- images: {facts["num_images"]}, skipped: {facts["skipped"]}',
                *protocol_lines(facts['protocol']), *self._other_hardware()]
            lines += profile_notes(self._profiles()) if self._profiles() else []
        return lines

    def _other_hardware(self) -> List[str]:
        """Where a method was not measured on the same machine as the first."""
        first = self.measured[0].facts['protocol']['hardware']
        return [
            f'- {row.method.name} was measured on: '
            f'{flat(row.facts["protocol"]["hardware"])}' for row in self.measured
            if row.facts['protocol']['hardware'] != first]

    def _gaps(self) -> List[str]:
        """What is not in the tables, and why."""
        lines = []
        if self.wanted_reference and not self.reference:
            lines.append(f'- no differences: {self.wanted_reference} was not measured')
        if any(row.problem and not row.failed for row in self.rows):
            lines.append('- a missing checkpoint: train it, or give it with '
                         '`--checkpoint NAME=PATH`')
        equal = {
            row.method.name: sum(map(math.isinf, row.values.get('PSNR', {}).values()))
            for row in self.measured}
        return lines + [
            f'- {name}: {count} images equal HR; their PSNR is infinite, and so is the '
            'mean' for name, count in equal.items() if count]

    def latex(self) -> str:
        """Every table as a booktabs tabular."""
        notes = [f'% {line[2:]}' for line in self.notes()]
        lines = [*notes, r'% needs \usepackage{booktabs}']
        for table in (self.quality(), self.other_metrics(), self.paired(),
                      self.cost()):
            lines += ['', *latex(*table)] if table[1] else []
        return '\n'.join(lines) + '\n'

    def records(self) -> List[Dict[str, Any]]:
        """One dict a method with every number, for a CSV."""
        records = []
        for row in self.rows:
            record = dict(method=row.method.name, problem=row.problem,
                          images=row.facts.get('num_images', ''))
            for column in [*self.columns, *self.set_columns]:
                record.update(self._numbers(row, column))
            record.update(flat_profile(row.facts['profile'])
                          if row.facts.get('profile') else {})
            records.append(record)
        keys = dict.fromkeys(key for record in records for key in record)
        return [{key: record.get(key, '') for key in keys} for record in records]

    def _numbers(self, row: Row, column: str) -> Dict[str, Any]:
        name = row.method.name
        found = self.estimates.get((name, column))
        numbers = {column: row.set_values.get(column, '') if found is None
                   else found.mean}
        if found is not None:
            numbers.update({f'{column} low': found.low, f'{column} high': found.high})
        if (name, column) in self.differences:
            difference, _ = self.differences[name, column]
            numbers.update({f'{column} difference': difference.mean,
                            f'{column} difference low': difference.low,
                            f'{column} difference high': difference.high})
        return {**numbers, f'{column} paper': row.method.paper.get(column, '')}

    def image_rows(self) -> List[Dict[str, Any]]:
        """One dict an image and method, for a CSV."""
        return [
            dict(name=name, method=row.method.name,
                 **{column: row.values.get(column, {}).get(name, '')
                    for column in self.columns})
            for row in self.measured
            for name in sorted(next(iter(row.values.values()), {}))]


def tables_of(config: Config, rows: Sequence[Row]) -> Tuple[BenchmarkTable, str]:
    """The table of a benchmark's rows as its config wants it, and its title."""
    with_paper, note = paper_setting(config, rows)
    title = config.get('title') or Path(config.filename).stem
    return BenchmarkTable(rows, config.get('reference'), with_paper, note), title


def paper_setting(config: Config, rows: Sequence[Row]) -> Tuple[bool, str]:
    """Whether the paper's numbers may stand beside these, and what tells so.

    Args:
        config: with ``paper_setting``, facts that the data set's protocol must have.
        rows: measured.
    """
    wanted = config.get('paper_setting')
    measured = [row for row in rows if not row.problem]
    if wanted is None or not measured:
        return False, ''
    facts = measured[0].facts
    found = dict(facts['protocol']['dataset'], scale=facts['scale'])
    differing = [f'{name} is {found.get(name)}, the paper\'s {value}'
                 for name, value in wanted.items() if found.get(name) != value]
    if differing:
        return False, ('The paper\'s numbers are left out, for this is not its '
                       f'setting: {"; ".join(differing)}.')
    return True, 'The paper\'s numbers are for its own test list, which is not known.'


def write_tables(table: BenchmarkTable, title: str,
                 out: Union[str, Path]) -> Dict[str, Path]:
    """Writes table.md, table.tex, table.csv and images.csv.

    Args:
        table: what to write.
        title: over the Markdown.
        out: their folder.

    Returns:
        The files by kind.
    """
    out = Path(out)
    paths = {kind: out / name for kind, name in dict(
        markdown='table.md', latex='table.tex', csv='table.csv',
        images='images.csv').items()}
    write_text(paths['markdown'], table.markdown(title))
    write_text(paths['latex'], table.latex())
    write_rows(paths['csv'], table.records())
    images = table.image_rows()
    if images:
        write_rows(paths['images'], images)
    else:
        del paths['images']
    return paths


def _check_images(rows: Sequence[Row]) -> None:
    images = {row.method.name: set(next(iter(row.values.values()), {}))
              for row in rows}
    first = next(iter(images.items()), None)
    for name, found in images.items():
        if found != first[1]:
            other = sorted(found ^ first[1])[0]
            raise ValueError(
                f'{name} was measured on {len(found)} images, {first[0]} on '
                f'{len(first[1])}, and they are not the same, e.g. {other}: the '
                'numbers cannot stand in one table. Remove the folder rows and measure '
                'again.')
