"""Tables that people can paste, in Markdown and LaTeX."""

from typing import Any, Dict, List, Optional, Sequence

from fdsr.reporting.numbers import cell, flat, heading

Models = Dict[str, Dict[str, float]]
_TEX = {'\\': r'\textbackslash{}', '_': r'\_', '%': r'\%', '&': r'\&', '#': r'\#',
        '$': r'\$', '{': r'\{', '}': r'\}', '~': r'\textasciitilde{}',
        '^': r'\textasciicircum{}', '|': r'\textbar{}',
        '↑': r'$\uparrow$', '↓': r'$\downarrow$', '–': '--', 'Δ': r'$\Delta$'}

def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    return '\n'.join([
        _row(header), '|---|' + '---:|' * (len(header) - 1), *map(_row, lines)])


def _row(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cell.replace('|', r'\|') for cell in cells) + ' |'


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> List[str]:
    """The lines of a table whose first column is text and whose others are numbers."""
    return markdown_table(header, list(map(_marked, lines))).split('\n')


def _marked(line: Sequence[str]) -> List[str]:
    """A line's cells; a text before empty cells is no number, and slanted."""
    return [f'*{text}*' if text and following == '' else text
            for text, following in zip(line, [*line[1:], None])]


def latex(header: Sequence[str], lines: Sequence[Sequence[str]]) -> List[str]:
    """The same as a booktabs tabular; a text before empty cells spans them."""
    return [
        r'\begin{tabular}{l' + 'r' * (len(header) - 1) + '}', r'\toprule',
        _tex_row(header), r'\midrule', *map(_tex_row, lines),
        r'\bottomrule', r'\end{tabular}']


def _tex_row(line: Sequence[str]) -> str:
    cells, rest = [], list(line)
    while rest:
        text, empty = rest.pop(0), 0
        while cells and rest and rest[0] == '':
            rest.pop(0)
            empty += 1
        cells.append(_tex(text) if not empty else
                     rf'\multicolumn{{{empty + 1}}}{{l}}{{\emph{{{_tex(text)}}}}}')
    return ' & '.join(cells) + r' \\'


def _tex(text: str) -> str:
    return ''.join(_TEX.get(letter, letter) for letter in text)


def format_table(
    models: Models,
    protocol: Dict[str, Any],
    num_images: Optional[int] = None,
    skipped: int = 0,
) -> str:
    """Formats the results and their protocol in Markdown.

    Args:
        models: {model: {column: mean}}; the rows keep this order.
        protocol: as `build_protocol` returns.
        num_images: how many images the means are over.
        skipped: how many more the data set has.

    Returns:
        A table, an empty line, and one line for each fact.
    """
    columns = list(dict.fromkeys(name for means in models.values() for name in means))
    lines = [markdown_table(
        ['Model', *map(heading, columns)],
        [[model, *(cell(column, means.get(column)) for column in columns)]
         for model, means in models.items()]), '']
    if num_images is not None:
        lines.append(f'- images: {num_images}, skipped: {skipped}')
    return '\n'.join([*lines, *protocol_lines(protocol)])


def protocol_lines(protocol: Dict[str, Any]) -> List[str]:
    """A protocol in Markdown, one line for each fact."""
    lines = []
    for name, fact in protocol.items():
        if name == 'metrics':
            lines += [f'- {column}: {flat(facts)}' for column, facts in fact.items()]
        else:
            lines.append(f'- {name.replace("_", " ")}: {flat(fact)}')
    return lines
