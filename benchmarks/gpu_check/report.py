"""The report of a check, as Markdown and as JSON."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: ``NOT_RUN``: the time was too short; not a failure.
OK, FAILED, SKIPPED, NOT_RUN = 'ok', 'failed', 'skipped', 'not run'


@dataclass
class Outcome:
    """The result of a step.

    Args:
        status: ``OK``, ``FAILED``, ``SKIPPED`` or ``NOT_RUN``.
        detail: a sentence for the table.
        values: what was measured, as plain values.
    """

    status: str
    detail: str = ''
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class Row:
    """A line of the report.

    Args:
        step: ``environment``, ``tests``, ``resume``, ``processes``, ``training``,
            ``compile`` or ``inference``.
        name: what is measured.
        labels: ``precision`` and ``mode``, or ``precision`` and ``batch_size``.
        outcome: how it ended.
        seconds: that it took.
    """

    step: str
    name: str
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
    """Every line, and what has to be known about all of them.

    Args:
        rows: in the order in which they run.
        protocol: facts that stand beside the numbers.
    """

    rows: list[Row]
    protocol: dict[str, Any]

    @property
    def failed(self) -> list[Row]:
        """The lines that failed."""
        return [row for row in self.rows if row.outcome.status == FAILED]

    def of(self, *steps: str) -> list[Row]:
        """The lines of some steps."""
        return [row for row in self.rows if row.step in steps]

    def ratio(self, row: Row) -> float | None:
        """Images per second over those of fp32, eager and otherwise alike.

        None where one of the two was not measured.
        """
        alike = {**row.labels, 'precision': 'fp32'}
        if 'mode' in alike:
            alike['mode'] = 'eager'
        steps = (('inference', ) if row.step == 'inference' else
                 ('training', 'compile'))
        base = next((other for other in self.of(*steps)
                     if other.name == row.name and other.labels == alike), None)
        speeds = [one.outcome.values.get('images_per_second')
                  for one in (row, base) if one is not None]
        return speeds[0] / speeds[1] if len(speeds) == 2 and all(speeds) else None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        rows = []
        for row in self.rows:
            values = asdict(row)
            values.update(values.pop('outcome'))
            if row.step in ('training', 'compile', 'inference'):
                values['ratio_to_fp32'] = self.ratio(row)
            rows.append(values)
        return dict(protocol=self.protocol, failed=list(map(str, self.failed)),
                    rows=rows)

    def to_markdown(self) -> str:
        """Returns the tables, the protocol and, last, a line on what failed."""
        from fdsr.reporting.tables import protocol_lines
        parts = [table for table in (
            self._checks(), self._training(), self._inference()) if table]
        parts.append('\n'.join(protocol_lines(self.protocol)))
        return '\n\n'.join([*parts, self.summary()])

    def summary(self) -> str:
        """Returns how many lines ended how, and which failed."""
        counts = {status: sum(row.outcome.status == status for row in self.rows)
                  for status in (OK, FAILED, SKIPPED, NOT_RUN)}
        text = ', '.join(f'{count} {status}' for status, count in counts.items()
                         if count or status == FAILED)
        failed = '; '.join(map(str, self.failed))
        return f'{text}. Failed: {failed}.' if failed else f'{text}.'

    def _checks(self) -> str:
        rows = self.of('environment', 'tests', 'resume', 'processes')
        return _table(['Check', 'Result', 'Time, s', 'Detail'], [
            [row.name, row.outcome.status, _number(row.seconds), row.outcome.detail]
            for row in rows])

    def _training(self) -> str:
        header = ['Training', 'Precision', 'Mode', 'Images/s', 'Ratio to fp32 eager',
                  'Peak memory, GB', 'Batch', 'Steps', 'Compile, s', 'Losses', 'Result']
        return _table(header, [
            [row.name, row.labels['precision'], row.labels['mode'],
             *self._speed(row, 'peak_gb', 'batch_size', 'steps', 'compile_s'),
             _finite(row), _result(row)] for row in self.of('training', 'compile')])

    def _inference(self) -> str:
        header = ['Inference', 'Precision', 'Batch', 'Images/s', 'Ratio to fp32',
                  'ms a batch', 'Working memory, GB', 'SR', 'Result']
        return _table(header, [
            [row.name, row.labels['precision'], str(row.labels['batch_size']),
             *self._speed(row, 'median_ms', 'peak_gb'), _finite(row), _result(row)]
            for row in self.of('inference')])

    def _speed(self, row: Row, *names: str) -> list[str]:
        values = row.outcome.values
        cells = [_number(values.get('images_per_second')), _number(self.ratio(row), 2)]
        for name in names:
            digits = {'peak_gb': 2, 'batch_size': 0, 'steps': 0}.get(name, 1)
            cells.append(_number(values.get(name), digits))
        return cells

    def write(self, folder: Path) -> None:
        """Writes ``check_gpu.md`` and ``check_gpu.json``, each whole or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        from fdsr.utils.files import write_json, write_text
        write_json(folder / 'check_gpu.json', self.to_dict())
        write_text(folder / 'check_gpu.md', self.to_markdown() + '\n')


def _table(header: list[str], rows: list[list[str]]) -> str:
    from fdsr.reporting.tables import markdown_table
    return markdown_table(header, rows) if rows else ''


def _number(value: float | None, digits: int = 1) -> str:
    return '–' if value is None else f'{value:.{digits}f}'


def _finite(row: Row) -> str:
    finite = row.outcome.values.get('finite')
    return '–' if finite is None else 'finite' if finite else 'not finite'


def _result(row: Row) -> str:
    detail = row.outcome.detail
    return f'{row.outcome.status}: {detail}' if detail else row.outcome.status
