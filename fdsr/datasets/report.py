"""The list of samples that a dataset could not use."""
from __future__ import annotations

import contextlib
import csv
import os
import tempfile
import uuid
from pathlib import Path
from typing import Iterable, Iterator, TextIO

from filelock import FileLock

from fdsr.utils.files import atomic_path

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
        name: Name of the dataset; the file is ``skipped_<name>.csv``.
    """

    def __init__(self, report_dir: str | os.PathLike | None, name: str) -> None:
        if report_dir is None:
            unique = f'fdsr_skipped_{os.getpid()}_{uuid.uuid4().hex[:8]}'
            report_dir = Path(tempfile.gettempdir()) / unique
        self.path = Path(report_dir) / f'skipped_{name}.csv'
        # names of the rows of the stage `load` up to a place in a file (its inode)
        self._seen: set[str] = set()
        self._read = 0, 0

    def start(self, rows: Iterable[tuple[str, str, str]] = ()) -> None:
        """Begin a new list: rows of an earlier run would count against this one.

        Args:
            rows: (name, reason, stage) of what is known from the start.
        """
        rows = list(rows)
        self._forget()
        with self._explained():
            if not rows:
                if self.path.exists():
                    self.path.unlink()
                return
            with (atomic_path(self.path) as part,
                  part.open('w', encoding='utf-8', newline='') as file):
                csv.writer(file).writerows([HEADER, *rows])

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
            self._catch_up(file)
            if name not in self._seen:
                writer = csv.writer(file)
                if file.tell() == 0:
                    writer.writerow(HEADER)
                writer.writerow((name, ' '.join(reason.split()), 'load'))
                self._seen.add(name)
            return len(self._seen)

    def _catch_up(self, file: TextIO) -> None:
        """Read the rows that came since the last time, in whatever process."""
        status = os.fstat(file.fileno())
        if self._read[0] != status.st_ino or self._read[1] > status.st_size:
            self._forget()  # another run has begun a new list
        file.seek(self._read[1])
        self._seen.update(row[0] for row in csv.reader(file) if row[2:] == ['load'])
        self._read = status.st_ino, file.tell()

    def _forget(self) -> None:
        self._seen.clear()
        self._read = 0, 0

    def has(self, name: str) -> bool:
        """Whether this process knows of ``name``'s row already."""
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
        with (FileLock(self.path.with_name(f'.{self.path.name}.lock')),
              self.path.open('a+', encoding='utf-8', newline='') as file):
            yield file
