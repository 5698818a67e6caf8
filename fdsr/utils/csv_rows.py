"""Reader of CSV files from users: bounded lines, and errors that name file and line."""
from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

#: Maximum length of a line in bytes: a path has up to 4,096.
LONGEST_LINE = 16_384
#: Maximum length of a name in bytes; the index reserves the longest one for each row.
LONGEST_NAME = 1_024
#: Maximum number of columns.
MOST_COLUMNS = 256
_DECIMAL_COMMA = re.compile(r'\s*[+-]?\d+,\d+\s*')


def read_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a CSV file, the header first; empty lines are skipped.

    A row is one line of at most ``LONGEST_LINE`` bytes, ending in LF or CRLF, in UTF-8
    with or without a byte order mark. It has no more cells than the header.

    Args:
        path: the file.

    Yields:
        The number of the line, from 1, and its cells.

    Raises:
        ValueError: a line is malformed; the message names the file and the line.
    """
    columns = 0
    with open(path, 'rb') as file:
        lines = _Lines(path, file)
        # one reader for all lines, because a reader per line is slow
        rows = csv.reader(lines, strict=True, skipinitialspace=True)
        while True:
            before = lines.number
            try:
                cells = next(rows, None)
            except csv.Error as error:
                raise malformed(path, lines.number, str(error)) from error
            if cells is None:
                return
            if rows.line_num != lines.number or lines.number != before + 1:
                raise malformed(path, before + 1, 'a quotation mark is not closed')
            if not cells:
                continue
            columns = columns or len(cells)
            if len(cells) > columns:
                raise malformed(path, lines.number, (
                    f'{len(cells)} cells, expected {columns} as in the header. Numbers '
                    'need decimal points, not decimal commas'))
            yield lines.number, cells


def check_decimal_comma(path: str | Path, number: int, cells: list[str]) -> None:
    """Checks that no cell is a number with a decimal comma.

    Raises:
        ValueError: a cell is; the message names the file and the line.
    """
    for cell in cells:
        if ',' in cell and _DECIMAL_COMMA.fullmatch(cell):
            raise malformed(path, number, (
                f'{cell.strip()!r} has a decimal comma, expected a decimal point'))


class _Lines:
    """Iterator of the decoded lines of a file, which counts them."""

    def __init__(self, path: str | Path, file: BinaryIO) -> None:
        self.path, self.file, self.number = path, file, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.file.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > LONGEST_LINE:
            raise malformed(self.path, self.number,
                             f'longer than {LONGEST_LINE:,} bytes')
        line = line.removesuffix(b'\n').removesuffix(b'\r')
        if b'\r' in line or b'\0' in line:
            raise malformed(self.path, self.number, (
                'a carriage return or a NUL inside of the row. Save the file with LF '
                'or CRLF line ends'))
        try:
            text = line.decode('utf-8-sig' if self.number == 1 else 'utf-8')
        except UnicodeDecodeError as error:
            raise malformed(self.path, self.number, (
                f'{line[:40]!r} is not UTF-8. Save the file as UTF-8')) from error
        if self.number == 1 and text.count(',') >= MOST_COLUMNS:
            raise malformed(self.path, 1, f'more than {MOST_COLUMNS} columns')
        return text


def malformed(path: str | Path, number: int, problem: str) -> ValueError:
    """Returns an error that names the file and the line."""
    return ValueError(f'{path}, line {number}: {problem}. Fix the line, or write the '
                      'file again.')
