"""The report of the campaign, as Markdown and JSON."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from fdsr.utils.hardware import hardware


def write_report(arguments: argparse.Namespace, found: dict[str, Any], seconds: float
                 ) -> bool:
    """Writes ``report.md`` and ``report.json`` and prints the former.

    Args:
        arguments: the command line.
        found: results of the parts ``kills``, ``streams`` and ``fuzz``.
        seconds: duration of the campaign.

    Returns:
        True if no case has a problem.
    """
    facts = dict(command='python -m tests.faults ' + shlex.join(sys.argv[1:]),
                 seed=arguments.seed, minutes=round(seconds / 60, 1), **hardware())
    lines = [f'Command: `{facts["command"].strip()}`; seed {facts["seed"]}; '
             f'{facts["cores"]} cores of {facts["cpu"]}; torch {facts["torch"]}; '
             f'{facts["minutes"]} minutes.']
    ok = True
    if 'kills' in found:
        kills = found['kills']
        lines += ['', '## Kills', '', *table(kills['rows'])]
        lines += _listed('Runs with a problem', kills['failures'], _failed_run)
        lines += _listed('Not done', kills['notes'], str)
        ok &= not kills['failures'] and not kills['notes']
    if 'streams' in found:
        lines += ['', '## Resumed sample streams', '', *table([
            {key: _yes(value) for key, value in row.items()}
            for row in found['streams']])]
        ok &= all(row['equal'] for row in found['streams'])
    if 'fuzz' in found:
        fuzz = found['fuzz']
        lines += ['', '## Mutated inputs', '', *table(fuzz['rows'])]
        lines += _listed('Inputs with a problem', fuzz['failures'], _failed_input)
        lines += _listed('Not done', fuzz['notes'], str)
        ok &= not fuzz['failures'] and not fuzz['notes']
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    text = '\n'.join(lines) + '\n'
    (out / 'report.md').write_text(text)
    (out / 'report.json').write_text(json.dumps({**facts, **found}, indent=1) + '\n')
    print(text)
    return ok


def update_page(page: Path, report: dict[str, Any]) -> None:
    """Replaces the tables of docs/reliability.md by those of a report.

    A table is between the comments ``<!-- NAME -->`` and ``<!-- end -->``.

    Args:
        page: the page.
        report: content of ``report.json``.
    """
    line = (f'`{report["command"].strip()}`, seed {report["seed"]}, '
            f'{report["cores"]} cores of {report["cpu"]}, torch {report["torch"]}, '
            f'{report["minutes"]} minutes:')
    tables = {name: report[name] if name == 'streams' else report[name]['rows']
              for name in ('kills', 'streams', 'fuzz') if name in report}
    text = page.read_text(encoding='utf-8')
    for name, rows in tables.items():
        rows = [{key: _yes(value) for key, value in row.items()} for row in rows]
        start, end = f'<!-- {name} -->', '<!-- end -->'
        before, _, rest = text.partition(start)
        after = rest.partition(end)[2]
        text = '\n'.join([f'{before}{start}', '', line, '', *table(rows), '',
                          f'{end}{after}'])
    page.write_text(text, encoding='utf-8')


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Returns the lines of a Markdown table."""
    if not rows:
        return ['None.']
    names = list(rows[0])
    return ['| ' + ' | '.join(names) + ' |',
            '|' + '|'.join('---' if isinstance(rows[0][name], str) else '---:'
                           for name in names) + '|',
            *('| ' + ' | '.join(str(row[name]) for name in names) + ' |'
              for row in rows)]


def _yes(value: Any) -> Any:
    return {True: 'yes', False: 'no'}[value] if isinstance(value, bool) else value


def _listed(title: str, entries: list[Any], line: Any) -> list[str]:
    if not entries:
        return []
    more = len(entries) - MOST_LISTED
    return ['', f'{title}:', '',
            *(f'- {line(entry)}' for entry in entries[:MOST_LISTED]),
            *([f'- and {more} more in report.json'] if more > 0 else [])]


def _failed_run(run: dict[str, Any]) -> str:
    parts = [f'{run["tool"]}, run {run["number"]} ({"; ".join(run["points"])})']
    if run['problem']:
        parts.append(run['problem'])
    if run['leftovers']:
        parts.append(f'leftovers: {", ".join(run["leftovers"][:3])}')
    if run['orphans']:
        parts.append(f'{run["orphans"]} orphans')
    return f'{": ".join(parts)} (`{run["command"]}`)'


def _failed_input(case: dict[str, Any]) -> str:
    return f'{case["kind"]}, {case["name"]}: {case["outcome"]}: {case["message"]}'


#: Problems that the Markdown lists; the JSON has all of them.
MOST_LISTED = 40
