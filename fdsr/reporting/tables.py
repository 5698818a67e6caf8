"""Tables in Markdown and LaTeX, and protocols as Markdown lists."""

from collections.abc import Mapping, Sequence
from typing import Any

_TEX = str.maketrans({
    '\\': r'\textbackslash{}', '_': r'\_', '%': r'\%', '&': r'\&', '#': r'\#',
    '$': r'\$', '{': r'\{', '}': r'\}', '~': r'\textasciitilde{}',
    '^': r'\textasciicircum{}', '|': r'\textbar{}', '↑': r'$\uparrow$',
    '↓': r'$\downarrow$', '–': '--', 'Δ': r'$\Delta$'})
#: Protocol entries for programs; tables show them as arrows and decimals.
_NOT_PRINTED = ('columns', )


class SpanningNote(str):
    """A remark in place of numbers that extends over the empty cells after it."""


def markdown_table(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """Returns a Markdown table; the first column is left-aligned, the others right.

    Args:
        header: Names of the columns.
        rows: Cells, converted with ``str``. A ``SpanningNote`` is set in italics.
    """
    return '\n'.join([
        _markdown_row(header), '|---|' + '---:|' * (len(header) - 1),
        *map(_markdown_row, rows)])


def _markdown_row(cells: Sequence[Any]) -> str:
    texts = (f'*{cell}*' if isinstance(cell, SpanningNote) else str(cell)
             for cell in cells)
    return '| ' + ' | '.join(text.replace('|', r'\|') for text in texts) + ' |'


def latex_table(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """Returns the same table as a booktabs tabular.

    Args:
        header: Names of the columns.
        rows: Cells, converted with ``str``. A ``SpanningNote`` becomes a
            ``\\multicolumn`` over the empty cells after it.
    """
    return '\n'.join([
        r'\begin{tabular}{l' + 'r' * (len(header) - 1) + '}', r'\toprule',
        _latex_row(header), r'\midrule', *map(_latex_row, rows),
        r'\bottomrule', r'\end{tabular}'])


def _latex_row(cells: Sequence[Any]) -> str:
    done: list[str] = []
    rest = list(cells)
    while rest:
        cell = rest.pop(0)
        text = str(cell).translate(_TEX)
        if isinstance(cell, SpanningNote):
            width = 1
            while rest and rest[0] == '':
                rest.pop(0)
                width += 1
            text = rf'\multicolumn{{{width}}}{{l}}{{\emph{{{text}}}}}'
        done.append(text)
    return ' & '.join(done) + r' \\'


def protocol_lines(protocol: Mapping[str, Any]) -> list[str]:
    """Returns a protocol as Markdown list items, one per fact and one per metric."""
    lines = []
    for name, fact in protocol.items():
        if name == 'metrics':
            lines += [f'- {column}: {flat(facts)}' for column, facts in fact.items()]
        elif name not in _NOT_PRINTED:
            lines.append(f'- {name.replace("_", " ")}: {flat(fact)}')
    return lines


def flat(fact: Any) -> str:
    """Returns a fact on one line: the items of a dict, 'none' for None."""
    if isinstance(fact, dict):
        return ', '.join(f'{name} {flat(value)}' for name, value in fact.items())
    return 'none' if fact is None else str(fact)
