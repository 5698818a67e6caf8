"""Tables that people can paste."""

from typing import Sequence


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    return '\n'.join([
        _row(header), '|---|' + '---:|' * (len(header) - 1), *map(_row, lines)])


def _row(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cell.replace('|', r'\|') for cell in cells) + ' |'
