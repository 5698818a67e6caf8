"""The list of samples that a data set could not use."""
from __future__ import annotations

import contextlib
import csv
import os
import tempfile
import uuid
from pathlib import Path
from typing import Iterable, Iterator, TextIO

try:
    import fcntl
except ImportError:  # Windows: one worker process, or rows may be doubled
    fcntl = None

HEADER = ('name', 'reason', 'stage')


class SkipReport:
    """A CSV of skipped samples, shared by all worker processes of a run.

    Columns: ``name`` (the sample), ``reason``, and ``stage``: ``index`` for rows
    left out when the list was read, ``load`` for those that failed when a sample
    was asked for, ``note`` for what was passed over without losing a sample. A name
    has at most one ``load`` row.

    Args:
        report_dir: Folder of the file; it is made when the first row is written.
            ``None`` takes a folder of its own under the system's temporary folder,
            so that there always is a list to point at.
        name: Name of the data set; the file is ``skipped_<name>.csv``.
    """

    def __init__(self, report_dir: str | os.PathLike | None, name: str) -> None:
        if report_dir is None:
            unique = f'fdsr_skipped_{os.getpid()}_{uuid.uuid4().hex[:8]}'
            report_dir = Path(tempfile.gettempdir()) / unique
        self.path = Path(report_dir) / f'skipped_{name}.csv'
        self._seen: set[str] = set()

    def start(self, rows: Iterable[tuple[str, str, str]] = ()) -> None:
        """Begin a new list: rows of an earlier run would count against this one.

        Args:
            rows: (name, reason, stage) of what is known from the start.
        """
        rows = list(rows)
        self._seen.clear()
        with self._explained():
            if not rows:
                if self.path.exists():
                    self.path.unlink()
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_name(f'{self.path.name}.{uuid.uuid4().hex[:8]}.part')
            with part.open('w', encoding='utf-8', newline='') as file:
                csv.writer(file).writerows([HEADER, *rows])
            os.replace(part, self.path)

    def add(self, name: str, reason: str) -> int:
        """Write one row for a sample that failed to load, unless it has one.

        Args:
            name: The sample.
            reason: Why it was skipped; line breaks become spaces.

        Returns:
            Number of different samples that failed to load so far, in all
            processes that share this file.
        """
        with self._explained(), self._locked() as file:
            file.seek(0)
            known = {row['name'] for row in csv.DictReader(file)
                     if row['stage'] == 'load'}
            if name not in known:
                writer = csv.writer(file)
                if file.tell() == 0:
                    writer.writerow(HEADER)
                writer.writerow((name, ' '.join(reason.split()), 'load'))
                known.add(name)
        self._seen.add(name)
        return len(known)

    def has(self, name: str) -> bool:
        """Whether this process has written (or found) ``name``'s row already."""
        return name in self._seen

    def rows(self, stage: str | None = None) -> list[dict[str, str]]:
        """Rows of the file (none where there is no file), of one stage or all."""
        if not self.path.exists():
            return []
        with self.path.open(encoding='utf-8', newline='') as file:
            return [row for row in csv.DictReader(file)
                    if stage is None or row['stage'] == stage]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                f'The list of skipped samples cannot be written: {self.path} '
                f'({error}). Give a writable folder as report_dir.') from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[TextIO]:
        """The file, open to read and append, while no other process has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open('a+', encoding='utf-8', newline='') as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)  # released when it is closed
            yield file
