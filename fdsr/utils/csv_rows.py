"""Reader of CSV files from users: bounded lines, and errors that name file and line."""
from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

#: Maximum length of a line in bytes: a path has up to 4,096.
LONGEST_LINE = 16_384
#: Maximum length of a name in bytes; the index reserves the longest one for each row.
LONGEST_NAME = 1_024
#: Maximum number of columns.
MOST_COLUMNS = 256
_BLOCK = 2**20  # bytes that are checked and parsed at a time
_DECIMAL_COMMA = re.compile(r'\s*[+-]?\d+,\d+\s*')


def read_lines(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the lines of a CSV file in blocks, the header first.

    A line has at most ``LONGEST_LINE`` bytes and ends in LF or CRLF; the file is UTF-8,
    with or without a byte order mark.

    Args:
        path: the file.

    Yields:
        The number of a block's first line, from 1, and the block's lines without ends.

    Raises:
        ValueError: a line is malformed; the message names the file and the line.
    """
    number, rest = 1, b''
    with open(path, 'rb') as file:
        while True:
            block = file.read(_BLOCK)
            data = rest + block
            end = data.rfind(b'\n') + 1 if block else len(data)
            data, rest = data[:end], data[end:]
            if data:
                lines = data.removesuffix(b'\n').split(b'\n')
                yield number, _decoded(path, number, lines)
                number += len(lines)
            if len(rest) > LONGEST_LINE:
                raise _too_long(path, number)
            if not block:
                return


def cells_of(path: str | Path, first: int, lines: list[str],
             columns: int) -> list[list[str]]:
    """Returns the cells of each line; an empty line has none.

    Args:
        path: the file, for messages.
        first: number of the first line.
        lines: lines of :func:`read_lines`.
        columns: maximum number of cells.

    Raises:
        ValueError: a quotation mark is misplaced, or a line has too many cells.
    """
    rows = _parsed(path, first, lines)
    for number, row in enumerate(rows, first):
        if len(row) > columns:
            raise malformed(path, number, (
                f'{len(row)} cells, expected {columns} as in the header. Numbers need '
                'decimal points, not decimal commas'))
    return rows


def _parsed(path: str | Path, first: int, lines: list[str]) -> list[list[str]]:
    """Returns the cells of each line; one call per block, because one per line is slow.
    """
    options = dict(strict=True, skipinitialspace=True)
    try:
        rows = list(csv.reader(lines, **options))
        if len(rows) == len(lines):  # else a quoted cell has several lines
            return rows
    except csv.Error:
        pass
    for number, line in enumerate(lines, first):
        try:
            list(csv.reader([line], **options))
        except csv.Error as error:
            problem = ('a quotation mark is not closed'
                       if 'unexpected end of data' in str(error) else str(error))
            raise malformed(path, number, problem) from error
    raise AssertionError(f'{path}: lines from {first} parse alone, but not together')


def _decoded(path: str | Path, first: int, lines: list[bytes]) -> list[str]:
    """Checks lines and returns their text without line ends."""
    lines = [line.removesuffix(b'\r') for line in lines]
    whole = b'\n'.join(lines)
    if max(map(len, lines)) > LONGEST_LINE or b'\r' in whole or b'\0' in whole:
        for number, line in enumerate(lines, first):
            if len(line) > LONGEST_LINE:
                raise _too_long(path, number)
            if b'\r' in line or b'\0' in line:
                raise malformed(path, number, (
                    'a carriage return or a NUL inside of the row. Save the file with '
                    'LF or CRLF line ends'))
    try:
        text = whole.decode('utf-8-sig' if first == 1 else 'utf-8')
    except UnicodeDecodeError as error:
        number = whole[:error.start].count(b'\n')
        raise malformed(path, first + number, (
            f'{lines[number][:40]!r} is not UTF-8. Save the file as UTF-8')) from error
    if first == 1 and lines[0].count(b',') >= MOST_COLUMNS:
        raise malformed(path, 1, f'more than {MOST_COLUMNS} columns')
    return text.split('\n')


def check_decimal_comma(path: str | Path, number: int, cells: list[str]) -> None:
    """Checks that no cell is a number with a decimal comma.

    Raises:
        ValueError: a cell is; the message names the file and the line.
    """
    for cell in cells:
        if ',' in cell and _DECIMAL_COMMA.fullmatch(cell):
            raise malformed(path, number, (
                f'{cell.strip()!r} has a decimal comma, expected a decimal point'))


def _too_long(path: str | Path, number: int) -> ValueError:
    return malformed(path, number, f'longer than {LONGEST_LINE:,} bytes')


def malformed(path: str | Path, number: int, problem: str) -> ValueError:
    """Returns an error that names the file and the line."""
    return ValueError(f'{path}, line {number}: {problem}. Fix the line, or write the '
                      'file again.')
