"""Cells of a table, and tables in Markdown and LaTeX."""

import math
from typing import Any, Dict, List, Optional, Sequence

from fdsr.benchmark.statistics import Estimate
from fdsr.evaluation.markdown import markdown_table
from fdsr.evaluation.protocol import cell, flat

Profile = Dict[str, Any]
_TEX = {'\\': r'\textbackslash{}', '_': r'\_', '%': r'\%', '&': r'\&', '#': r'\#',
        '$': r'\$', '{': r'\{', '}': r'\}', '~': r'\textasciitilde{}',
        '^': r'\textasciicircum{}', '|': r'\textbar{}',
        '↑': r'$\uparrow$', '↓': r'$\downarrow$', '–': '--', 'Δ': r'$\Delta$'}
_COST_HEADER = ['Method', 'trained, M', 'frozen, M', 'atoms, MB', 'GMACs']


def interval(column: str, estimate: Estimate, sign: str = '') -> str:
    """'24.27 [24.05, 24.49]', or the mean alone where there is no interval."""
    mean = cell(column, estimate.mean, sign)
    if math.isnan(estimate.low):
        return mean
    ends = ', '.join(cell(column, end, sign) for end in (estimate.low, estimate.high))
    return f'{mean} [{ends}]'


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


def cost_header(profiles: Sequence[Profile]) -> List[str]:
    """What ``cost_cells`` tells, for the batch sizes of the first profile."""
    sizes = [entry['batch_size'] for entry in profiles[0]['latencies']]
    return [*_COST_HEADER,
            *(f'ms a picture, batch {size}' for size in sizes),
            *(f'MB at work, batch {size}' for size in sizes),
            'whole pipeline, ms']


def cost_cells(profile: Profile) -> List[str]:
    """Parameters, arithmetic, time and memory of a method."""
    latencies = profile['latencies']
    return [f'{profile["trained"] / 1e6:.2f}', f'{profile["frozen"] / 1e6:.2f}',
            f'{profile["dictionary_mb"]:.0f}', f'{profile["gmacs"]:.2f}',
            *(f'{entry["ms_per_picture"]:.1f}' for entry in latencies),
            *(_optional(entry['peak_mb'], '.0f') for entry in latencies),
            _pipeline(profile)]


def _pipeline(profile: Profile) -> str:
    parts = profile['parts']
    if not parts:
        return f'{profile["latencies"][0]["median_ms"]:.1f}'
    steps = ', '.join(f'{part["name"]} {_optional(part["ms"], ".1f")}'
                      for part in parts)
    return f'{profile["parts_ms"]:.1f} ({steps})'


def _optional(value: Optional[float], form: str) -> str:
    return '–' if value is None else f'{value:{form}}'


def flat_profile(profile: Profile) -> Dict[str, Any]:
    """A profile as one line of a CSV."""
    values = {name: profile[name] for name in (
        'trained', 'frozen', 'network_mb', 'dictionary_mb', 'gmacs')}
    for entry in profile['latencies']:
        for name in ('median_ms', 'best_ms', 'peak_mb'):
            values[f'{name} batch {entry["batch_size"]}'] = entry[name]
    for part in profile['parts']:
        values[f'{part["name"]} ms'] = part['ms']
    return values


def profile_notes(profiles: Dict[str, Profile]) -> List[str]:
    """How the costs were measured; by method where they were not measured alike."""
    texts = {name: flat(profile['protocol']) for name, profile in profiles.items()}
    alike = len(set(texts.values())) == 1
    lines = ([f'- cost: {next(iter(texts.values()))}'] if alike else
             [f'- cost of {name}: {text}' for name, text in texts.items()])
    return lines + [
        f'- {name}: {part["name"]}: {part["note"]}'
        for name, profile in profiles.items() for part in profile['parts']
        if part['note']]
