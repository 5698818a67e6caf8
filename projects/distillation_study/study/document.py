"""The files with a study's tables: its page with a short one, and an appendix."""

from collections.abc import Sequence
from pathlib import Path

from fdsr.reporting.tables import markdown_table
from fdsr.utils.files import write_text
from projects.distillation_study.study.report import (
    Plan,
    Table,
    arms_of,
    arms_table,
    differences_table,
    recovery_table,
    report,
)
from projects.distillation_study.study.results import Results, read_results

BEGIN, END = '<!-- study:begin -->', '<!-- study:end -->'
_METRICS = ('PSNR', 'LPIPS')  # of the short table
_LISTS = dict(test='Test', val='Validation')
_NOTE = (
    'Δ: arm − control, paired by image and by seed, with intervals of about 95% over '
    'images and seeds. Bold: the interval excludes 0, not corrected for multiple '
    'comparisons. *LPIPS gap closed*: (student − control) / (teacher − control); *gap '
    'not shown*: the interval of teacher − control includes 0; *teacher worse*: the '
    'teacher is worse than the control.')
PathLike = str | Path


def summary_table(plan: Plan, results: Results, which: str) -> Table:
    """Returns the table of the arms with several runs and of their teachers.

    Args:
        plan: as for ``report.arms_of``.
        results: results of its runs.
        which: ``val`` or ``test``.

    Returns:
        The header and the rows: cells of the tables of the report, each arm with its
        first control.
    """
    arms = arms_of(plan, results)
    runs = {arm['name']: len(results.seeds(arm['name'])) for arm in arms}
    teachers = {arm['teacher'] for arm in arms if runs[arm['name']] > 1}
    means, differences, shares = (
        _rows_by_label(make(plan, results, which))
        for make in (arms_table, differences_table, recovery_table))
    columns = [name for name in next(iter(means.values()), ())
               if name.split()[0] in _METRICS]
    lines = []
    for arm in arms:
        label, count = arm['label'], runs[arm['name']]
        if count > 1 or (count and arm['name'] in teachers):
            row = differences.get(label, {})
            lines.append([
                label, str(count),
                *(means[label][name].partition(' [')[0] for name in columns),
                row.get('control', '–'),
                *(row.get(f'Δ {name}', '–').partition('<br>')[0] for name in columns),
                shares.get(label, {}).get('LPIPS', '–')])
    header = ['Arm', 'runs', *columns, 'compared with',
              *(f'Δ {name}' for name in columns), 'LPIPS gap closed']
    return header, lines


def _rows_by_label(table: Table) -> dict[str, dict[str, str]]:
    """Returns {label of the arm: {column: cell}}, the first row of each label."""
    header, lines = table
    return {line[0].removesuffix(' †'): dict(zip(header, line, strict=True))
            for line in reversed(lines)}


def summary(plan: Plan, results: Results, which: str) -> str:
    """Returns the short table in Markdown.

    Args:
        plan: as for ``report.arms_of``.
        results: results of its runs.
        which: ``val`` or ``test``.
    """
    header, lines = summary_table(plan, results, which)
    if not lines:
        return '*No arm has several runs yet.*'
    return (f'{markdown_table(header, lines)}\n\n{_LISTS[which]}: '
            f'{len(results.images(which))} images. {_NOTE}')


def appendix_of(document: PathLike) -> Path:
    """Returns the path of a page's appendix: study_appendix.md for study.md."""
    document = Path(document)
    return document.with_name(f'{document.stem}_appendix{document.suffix}')


def write_report(plan: Plan, results_folder: PathLike, document: PathLike,
                 lists: Sequence[str] | None = None) -> list[Path]:
    """Replaces the text between the markers of a page and of its appendix.

    Args:
        plan: as for ``report.arms_of``.
        results_folder: as for ``read_results``.
        document: the page. It and its appendix, ``appendix_of(document)``, contain
            ``<!-- study:begin -->`` and ``<!-- study:end -->``.
        lists: in order; default: validation. The page shows the first.

    Returns:
        The page and the appendix.

    Raises:
        FileNotFoundError: the folder, the page or the appendix does not exist.
        ValueError: a file does not contain each marker once and in order, or a file of
            results is damaged. Neither document is changed.
    """
    results, lists = read_results(results_folder), lists or ['val']
    page, appendix = Path(document), appendix_of(document)
    around = {path: _around(path) for path in (page, appendix)}
    found = {page: summary(plan, results, lists[0]),
             appendix: report(plan, results, lists)}
    for path, (before, after) in around.items():
        write_text(path, f'{before}{BEGIN}\n\n{found[path]}\n\n{after}')
    return [*around]


def _around(document: Path) -> tuple[str, str]:
    """Returns the text before a document's first marker, and from its second on."""
    text = document.read_text(encoding='utf-8')
    begin, end = text.find(BEGIN), text.find(END)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or end < begin:
        raise ValueError(
            f'{document}: expected one {BEGIN} and, below it, one {END}, found '
            f'{text.count(BEGIN)} and {text.count(END)}; put them where the tables '
            'belong.')
    return text[:begin], text[end:]
