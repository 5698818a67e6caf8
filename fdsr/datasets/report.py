"""Report of skipped samples."""
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
    """CSV of skipped samples, shared by all worker processes of a run.

    Columns: ``name`` (the sample), ``reason``, and ``stage``: ``index`` for samples
    that were skipped when the index was read, ``load`` for samples that failed to load,
    ``note`` for problems that did not cost a sample. A name has at most one ``load``
    row.

    Args:
        report_dir: Folder of the file, created with the first row. ``None`` creates a
            unique folder in the system's temporary folder.
        name: Name of the dataset; the file is ``skipped_<name>.csv``.
    """

    def __init__(self, report_dir: str | os.PathLike | None, name: str) -> None:
        if report_dir is None:
            unique = f'fdsr_skipped_{os.getpid()}_{uuid.uuid4().hex[:8]}'
            report_dir = Path(tempfile.gettempdir()) / unique
        self.path = Path(report_dir) / f'skipped_{name}.csv'
        # names of the `load` rows read so far, and (inode, offset) of the file
        self._seen: set[str] = set()
        self._read = 0, 0

    def start(self, rows: Iterable[tuple[str, str, str]] = ()) -> None:
        """Starts a new list, so that rows of an earlier run do not count.

        Args:
            rows: Initial rows (name, reason, stage).
        """
        rows = list(rows)
        self._forget()
        with self._explained():
            if not rows:
                return self.path.unlink() if self.path.exists() else None
            with (atomic_path(self.path) as part,
                  part.open('w', encoding='utf-8', newline='') as file):
                csv.writer(file).writerows([HEADER, *rows])

    def add(self, name: str, reason: str) -> int:
        """Adds a ``load`` row for a sample, unless it has one.

        Args:
            name: The sample.
            reason: Reason for skipping it; line breaks become spaces.

        Returns:
            Number of samples that failed to load so far, in all processes that share
            this file.
        """
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with (FileLock(self.path.with_name(f'.{self.path.name}.lock')),
                  self.path.open('a+', encoding='utf-8', newline='') as file):
                self._catch_up(file)
                if name not in self._seen:
                    writer = csv.writer(file)
                    if file.tell() == 0:
                        writer.writerow(HEADER)
                    writer.writerow((name, ' '.join(reason.split()), 'load'))
                    self._seen.add(name)
        return len(self._seen)

    def _catch_up(self, file: TextIO) -> None:
        """Reads the rows that any process has added since the last call."""
        status = os.fstat(file.fileno())
        if self._read[0] != status.st_ino or self._read[1] > status.st_size:
            self._forget()  # another run has started a new list
        file.seek(self._read[1])
        self._seen.update(row[0] for row in csv.reader(file) if row[2:] == ['load'])
        self._read = status.st_ino, file.tell()

    def _forget(self) -> None:
        self._seen.clear()
        self._read = 0, 0

    def has(self, name: str) -> bool:
        """Returns True if this process has seen a ``load`` row of ``name``."""
        return name in self._seen

    def rows(self, stage: str | None = None) -> list[dict[str, str]]:
        """Returns the rows of the file, of one stage or all; [] without a file."""
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
                f'({error}). Pass a writable folder as report_dir.') from error
