"""The results of a benchmark as Markdown, LaTeX and CSV tables."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from fdsr.benchmark.running import Row
from fdsr.evaluation.metric_info import column_infos
from fdsr.evaluation.protocol import write_rows
from fdsr.reporting.bootstrap import (
    CONFIDENCE,
    RESAMPLES,
    bootstrap_mean,
    paired_difference,
)
from fdsr.reporting.tables import (
    SpanningNote,
    flat,
    latex_table,
    markdown_table,
    protocol_lines,
)
from fdsr.utils.files import write_text

#: The columns of the paper's Table 1.
PAPER_COLUMNS = ('PSNR', 'SSIM', 'LPIPS')
_COST_HEADER = ['Method', 'trained, M', 'frozen, M', 'atoms, MB', 'GMACs']
#: Label of a network that a method uses in training and not at test time.
IN_TRAINING = 'landmark network, in training only'
#: Header and rows.
Table = tuple[list[str], list[list[str]]]
Profile = dict[str, Any]


class BenchmarkTable:
    """All tables of a benchmark.

    Args:
        rows: The rows in order.
        reference: Name of the method with which the others are compared image by image;
            None for no comparison.
        with_paper: Whether to add columns with the paper's numbers.
        note: Remark for the protocol.

    Raises:
        ValueError: The methods were measured on different images, or a column is
            unknown, see ``column_infos``.
    """

    def __init__(self, rows: Sequence[Row], reference: str | None = None,
                 with_paper: bool = False, note: str = '') -> None:
        self.rows, self.note, self.with_paper = list(rows), note, with_paper
        self.measured = [row for row in rows if not row.problem]
        _check_images(self.measured)
        self.requested_reference = reference
        self.reference = next((row for row in self.measured
                               if row.method.name == reference), None)
        self.columns = [*dict.fromkeys(
            name for row in self.measured for name in row.values)]
        self.set_columns = [*dict.fromkeys(
            name for row in self.measured for name in row.set_values)]
        stored = {column: info for row in self.measured for column, info
                  in row.facts['protocol'].get('columns', {}).items()}
        self.infos = column_infos(dict(columns=stored), [
            *PAPER_COLUMNS, *self.columns, *self.set_columns])
        self.estimates = {
            (row.method.name, column): bootstrap_mean(np.array([*values.values()]))
            for row in self.measured for column, values in row.values.items()}
        base = self.reference.values if self.reference else {}
        self.differences = {
            (row.method.name, column): paired_difference(values, base[column])
            for row in self.measured if row is not self.reference
            for column, values in row.values.items() if column in base}

    # Cells

    def quality(self) -> Table:
        """Returns the table of the paper's columns."""
        columns = [name for name in PAPER_COLUMNS
                   if name in self.columns] or list(PAPER_COLUMNS)
        header = ['Method', *self._headings(columns)]
        if self.with_paper:
            header += [f'{heading}, paper' for heading in self._headings(columns)]
        cells = []
        for row in self.rows:
            found = ([SpanningNote(row.problem)] + [''] * (len(columns) - 1)
                     if row.problem else
                     [self._estimate(row, column) for column in columns])
            papers = [self.infos[column].format(row.method.paper.get(column))
                      for column in columns] if self.with_paper else []
            cells.append([row.method.name, *found, *papers])
        return header, cells

    def other_metrics(self) -> Table:
        """Returns the table of all other columns, without rows if there are none."""
        columns = [name for name in self.columns if name not in PAPER_COLUMNS]
        header = ['Method', *self._headings([*columns, *self.set_columns])]
        cells = [
            [row.method.name, *(self._estimate(row, column) for column in columns),
             *(self.infos[column].format(row.set_values.get(column))
               for column in self.set_columns)] for row in self.measured]
        return header, cells if columns or self.set_columns else []

    def paired(self) -> Table:
        """Returns the table of the differences from the reference."""
        columns = [name for name in self.columns if name in PAPER_COLUMNS]
        infos = [self.infos[name] for name in columns]
        header = ['Method', *(f'Δ {heading}' for heading in self._headings(columns)),
                  *(f'{name} better on' for name in columns)]
        cells = []
        for row in self.measured:
            found = [self.differences.get((row.method.name, name)) for name in columns]
            if found and all(found):
                cells.append([
                    row.method.name,
                    *(info.interval(difference, sign='+')
                      for info, (difference, _) in zip(infos, found)),
                    *(f'{larger if info.higher_is_better else smaller:.0%}'
                      for info, (_, (larger, smaller)) in zip(infos, found))])
        return header, cells

    def cost(self) -> Table:
        """Returns the table of the costs, empty if none were measured."""
        profiles = self._profiles()
        if not profiles:
            return [], []
        cells = []
        for row in self.measured:
            name = row.method.name
            for label, profile in ((name, row.facts.get('profile')), (
                    f'{name}: {IN_TRAINING}', row.facts.get('training_profile'))):
                cells += [[label, *_cost_cells(profile)]] if profile else []
        return _cost_header([*profiles.values()]), cells

    def _headings(self, columns: Sequence[str]) -> list[str]:
        return [self.infos[column].heading(column) for column in columns]

    def _profiles(self) -> dict[str, Any]:
        return {row.method.name: row.facts['profile'] for row in self.measured
                if row.facts.get('profile')}

    def _estimate(self, row: Row, column: str) -> str:
        found = self.estimates.get((row.method.name, column))
        info = self.infos[column]
        return info.format(None) if found is None else info.interval(found)

    # Files

    def markdown(self, title: str) -> str:
        """Returns all tables and the protocol as a Markdown page."""
        parts = [f'# {title}', '', markdown_table(*self.quality())]
        for name, table in (
                ('Other metrics', self.other_metrics()),
                (f'Differences to {self.requested_reference}, image by image',
                 self.paired()),
                ('Cost', self.cost())):
            if table[1]:
                parts += ['', f'## {name}', '', markdown_table(*table)]
        return '\n'.join([*parts, '', '## Protocol', '', *self.notes()]) + '\n'

    def notes(self) -> list[str]:
        """Returns the protocol and all remarks, one line each."""
        lines = [f'- {row.method.name}: {row.facts["caption"]}'
                 for row in self.measured if row.facts.get('caption')]
        lines += [f'- {row.method.name}: {row.method.note}'
                  for row in self.rows if row.method.note]
        lines += [f'- {self.note}'] if self.note else []
        lines += self._gaps()
        if self.measured:
            facts = self.measured[0].facts
            first = facts['protocol']['hardware']
            lines += [
                f'- intervals: {CONFIDENCE:.0%}, percentile bootstrap over the images, '
                f'{RESAMPLES} resamples; they do not cover other training runs',
                f'- images: {facts["num_images"]}, skipped: {facts["skipped"]}',
                *protocol_lines(facts['protocol']),
                *(f'- {row.method.name} was measured on: '
                  f'{flat(row.facts["protocol"]["hardware"])}' for row in self.measured
                  if row.facts['protocol']['hardware'] != first)]
            lines += _profile_notes(self._profiles()) if self._profiles() else []
        return lines

    def _gaps(self) -> list[str]:
        """Returns what the tables lack and why."""
        lines = []
        if self.requested_reference and not self.reference:
            lines.append(
                f'- no differences: {self.requested_reference} was not measured')
        if any(row.problem and not row.failed for row in self.rows):
            lines.append('- a missing checkpoint: train it, or pass it with '
                         '`--checkpoint NAME=PATH`')
        lines += [f'- the training network of {row.method.name} was not measured: no '
                  f'file at {row.method.training_network}' for row in self.measured
                  if row.method.training_network and row.facts.get('profile')
                  and not row.facts.get('training_profile')]
        equal = {
            row.method.name: sum(map(math.isinf, row.values.get('PSNR', {}).values()))
            for row in self.measured}
        return lines + [
            f'- {name}: {count} images equal HR; their PSNR is infinite, and so is the '
            'mean' for name, count in equal.items() if count]

    def latex(self) -> str:
        """Returns all tables as booktabs tabulars, with the protocol as comments."""
        lines = [*(f'% {line[2:]}' for line in self.notes()),
                 r'% needs \usepackage{booktabs}']
        for table in (self.quality(), self.other_metrics(), self.paired(),
                      self.cost()):
            lines += ['', latex_table(*table)] if table[1] else []
        return '\n'.join(lines) + '\n'

    def records(self) -> list[dict[str, Any]]:
        """Returns one dict per method with all numbers, for a CSV."""
        records = []
        for row in self.rows:
            record = dict(method=row.method.name, problem=row.problem,
                          images=row.facts.get('num_images', ''))
            for column in [*self.columns, *self.set_columns]:
                record.update(self._numbers(row, column))
            for prefix, key in (('', 'profile'), ('training ', 'training_profile')):
                profile = row.facts.get(key)
                record.update({f'{prefix}{name}': value for name, value
                               in (_flat_profile(profile) if profile else {}).items()})
            records.append(record)
        keys = dict.fromkeys(key for record in records for key in record)
        return [{key: record.get(key, '') for key in keys} for record in records]

    def _numbers(self, row: Row, column: str) -> dict[str, Any]:
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

    def image_rows(self) -> list[dict[str, Any]]:
        """Returns one dict per image and method, for a CSV."""
        return [
            dict(name=name, method=row.method.name,
                 **{column: row.values.get(column, {}).get(name, '')
                    for column in self.columns})
            for row in self.measured
            for name in sorted(next(iter(row.values.values()), {}))]


def tables_of(config: Config, rows: Sequence[Row]) -> tuple[BenchmarkTable, str]:
    """Returns the tables of a benchmark as its config specifies them, and the title."""
    with_paper, note = paper_setting(config, rows)
    title = config.get('title') or Path(config.filename).stem
    return BenchmarkTable(rows, config.get('reference'), with_paper, note), title


def paper_setting(config: Config, rows: Sequence[Row]) -> tuple[bool, str]:
    """Returns whether the paper's numbers are comparable, and a note about it.

    Args:
        config: With ``paper_setting``: facts that the dataset's protocol must contain.
        rows: The measured rows.
    """
    expected = config.get('paper_setting')
    measured = [row for row in rows if not row.problem]
    if expected is None or not measured:
        return False, ''
    facts = measured[0].facts
    found = dict(facts['protocol']['dataset'], scale=facts['scale'])
    differing = [f'{name} is {found.get(name)}, in the paper {value}'
                 for name, value in expected.items() if found.get(name) != value]
    if differing:
        return False, ('The paper\'s numbers are left out, because its setting '
                       f'differs: {"; ".join(differing)}.')
    return True, 'The paper\'s numbers are for its own test list, which is not known.'


def write_tables(table: Any, title: str, out: str | Path) -> dict[str, Path]:
    """Writes table.md, table.tex, table.csv and images.csv.

    Args:
        table: A ``BenchmarkTable`` or ``DegradationTable``.
        title: Title of the Markdown page.
        out: Folder of the files.

    Returns:
        {kind: path}; 'images' is missing if nothing was measured.
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
                f'{len(first[1])}, and they differ, for example {other}. Numbers on '
                'different images are not comparable: remove the folder rows and '
                'measure again.')


def _cost_header(profiles: Sequence[Profile]) -> list[str]:
    """Returns the header for ``_cost_cells``, with the first profile's batch sizes."""
    sizes = [entry['batch_size'] for entry in profiles[0]['latencies']]
    return [*_COST_HEADER,
            *(f'ms per image, batch {size}' for size in sizes),
            *(f'working memory, MB, batch {size}' for size in sizes),
            'whole pipeline, ms']


def _cost_cells(profile: Profile) -> list[str]:
    """Returns parameters, GMACs, latency and memory of a method."""
    latencies = profile['latencies']
    return [f'{profile["trained"] / 1e6:.2f}', f'{profile["frozen"] / 1e6:.2f}',
            f'{profile["dictionary_mb"]:.0f}', f'{profile["gmacs"]:.2f}',
            *(f'{entry["ms_per_picture"]:.1f}' for entry in latencies),
            *(_optional(entry['peak_mb'], '.0f') for entry in latencies),
            _pipeline(profile)]


def _pipeline(profile: Profile) -> str:
    parts = profile['parts']
    if not parts:
        return f'{profile["latencies"][0]["median_ms"]:.1f}'
    steps = ', '.join(f'{part["name"]} {_optional(part["ms"], ".1f")}'
                      for part in parts)
    return f'{profile["parts_ms"]:.1f} ({steps})'


def _optional(value: float | None, form: str) -> str:
    return '–' if value is None else f'{value:{form}}'


def _flat_profile(profile: Profile) -> dict[str, Any]:
    """Returns a profile as one record of a CSV."""
    values = {name: profile[name] for name in (
        'trained', 'frozen', 'network_mb', 'dictionary_mb', 'gmacs')}
    for entry in profile['latencies']:
        for name in ('median_ms', 'best_ms', 'peak_mb'):
            values[f'{name} batch {entry["batch_size"]}'] = entry[name]
    for part in profile['parts']:
        values[f'{part["name"]} ms'] = part['ms']
    return values


def _profile_notes(profiles: dict[str, Profile]) -> list[str]:
    """Returns the conditions of the cost measurements, per method if they differ."""
    texts = {name: flat(profile['protocol']) for name, profile in profiles.items()}
    same = len(set(texts.values())) == 1
    lines = ([f'- cost: {next(iter(texts.values()))}'] if same else
             [f'- cost of {name}: {text}' for name, text in texts.items()])
    return lines + [
        f'- {name}: {part["name"]}: {part["note"]}'
        for name, profile in profiles.items() for part in profile['parts']
        if part['note']]
