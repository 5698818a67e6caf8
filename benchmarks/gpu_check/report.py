"""The report of a check, in Markdown and JSON."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fdsr.reporting.tables import markdown_table, protocol_lines
from fdsr.utils.files import write_json, write_text

#: ``NOT_RUN``: too little time was left; this does not count as a failure.
OK, FAILED, SKIPPED, NOT_RUN = 'ok', 'failed', 'skipped', 'not run'
_DIGITS = {'peak_gb': 2, 'batch_size': 0, 'steps': 0}


@dataclass
class Outcome:
    """The result of a step."""

    status: str  #: ``OK``, ``FAILED``, ``SKIPPED`` or ``NOT_RUN``
    detail: str = ''  #: a short text for the table
    values: dict[str, Any] = field(default_factory=dict)  #: measured, ready for JSON


@dataclass
class Row:
    """A row of the report."""

    step: str  #: ``environment`` or one of ``check.STEPS``
    name: str  #: of the case or command
    #: of a measurement: ``precision`` and ``mode``, or ``precision`` and ``batch_size``
    labels: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=lambda: Outcome(NOT_RUN))
    seconds: float | None = None

    def __str__(self) -> str:
        words = [self.name]
        if self.labels:
            words = [self.step, self.name, self.labels['precision']]
        if 'batch_size' in self.labels:
            words.append(f'batch {self.labels["batch_size"]}')
        return ' '.join(words)


@dataclass
class Report:
    """All rows, and the protocol that is printed with the numbers."""

    rows: list[Row]
    protocol: dict[str, Any]

    @property
    def failed(self) -> list[Row]:
        """The rows that failed."""
        return [row for row in self.rows if row.outcome.status == FAILED]

    def of(self, *steps: str) -> list[Row]:
        """Returns the rows of the given steps."""
        return [row for row in self.rows if row.step in steps]

    def ratio(self, row: Row) -> float | None:
        """Returns images/s relative to fp32 in eager mode; None if not measured."""
        labels = {**row.labels, 'precision': 'fp32'}
        if 'mode' in labels:
            labels['mode'] = 'eager'
        steps = ('inference',) if row.step == 'inference' else ('training', 'compile')
        base = next((other.outcome.values for other in self.of(*steps)
                     if other.name == row.name and other.labels == labels), {})
        speed, reference = (values.get('images_per_second')
                            for values in (row.outcome.values, base))
        return speed / reference if speed and reference else None

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values for JSON."""
        rows = []
        for row in self.rows:
            values = asdict(row)
            values.update(values.pop('outcome'))
            if row.labels:
                values['ratio_to_fp32'] = self.ratio(row)
            rows.append(values)
        return dict(protocol=self.protocol, failed=list(map(str, self.failed)),
                    rows=rows)

    def to_markdown(self) -> str:
        """Returns the tables, the protocol and a summary of the results."""
        checks = [[row.name, row.outcome.status, _number(row.seconds),
                   row.outcome.detail]
                  for row in self.of('environment', 'tests', 'resume', 'processes')]
        training = [
            [row.name, row.labels['precision'], row.labels['mode'],
             *self._cells(row, 'peak_gb', 'batch_size', 'steps', 'compile_s')]
            for row in self.of('training', 'compile')]
        inference = [
            [row.name, row.labels['precision'], str(row.labels['batch_size']),
             *self._cells(row, 'median_ms', 'peak_gb')] for row in self.of('inference')]
        tables = {
            'Check, Result, Time (s), Detail': checks,
            'Training, Precision, Mode, Images/s, Ratio to fp32 eager, '
            'Peak memory (GB), Batch, Steps, Compile (s), Losses, Result': training,
            'Inference, Precision, Batch, Images/s, Ratio to fp32, ms/batch, '
            'Working memory (GB), SR, Result': inference}
        return '\n\n'.join([
            *(markdown_table(header.split(', '), rows)
              for header, rows in tables.items() if rows),
            '\n'.join(protocol_lines(self.protocol)), self.summary()])

    def summary(self) -> str:
        """Returns the number of rows by status and the names of those that failed."""
        counts = Counter(row.outcome.status for row in self.rows)
        text = ', '.join(
            f'{counts[status]} {status}' for status in (OK, FAILED, SKIPPED, NOT_RUN)
            if counts[status] or status == FAILED)
        failed = '; '.join(map(str, self.failed))
        return f'{text}. Failed: {failed}.' if failed else f'{text}.'

    def _cells(self, row: Row, *names: str) -> list[str]:
        outcome = row.outcome
        finite = {None: '–', True: 'finite', False: 'not finite'}
        return [
            _number(outcome.values.get('images_per_second')),
            _number(self.ratio(row), 2),
            *(_number(outcome.values.get(name), _DIGITS.get(name, 1))
              for name in names),
            finite[outcome.values.get('finite')],
            ': '.join(filter(None, [outcome.status, outcome.detail]))]

    def write(self, folder: Path) -> None:
        """Writes ``check_gpu.md`` and ``check_gpu.json``, each atomically."""
        write_json(folder / 'check_gpu.json', self.to_dict())
        write_text(folder / 'check_gpu.md', self.to_markdown() + '\n')


def _number(value: float | None, digits: int = 1) -> str:
    return '–' if value is None else f'{value:.{digits}f}'
