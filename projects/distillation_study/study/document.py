"""The files that hold the tables of a study: its page, and the appendix of the page."""

from pathlib import Path
from typing import List, Optional, Sequence, Union

from fdsr.utils.files import write_text
from projects.distillation_study.study.report import Plan, report, summary
from projects.distillation_study.study.results import LISTS, read_results

BEGIN, END = '<!-- study:begin -->', '<!-- study:end -->'
PathLike = Union[str, Path]


def appendix_of(document: PathLike) -> Path:
    """Returns the path of a page's appendix: study_appendix.md for study.md."""
    document = Path(document)
    return document.with_name(f'{document.stem}_appendix{document.suffix}')


def write_report(plan: Plan, results_folder: PathLike, document: PathLike,
                 lists: Optional[Sequence[str]] = None) -> List[Path]:
    """Replaces the text between the markers of a page and of its appendix.

    Args:
        plan: as for ``report.arms_of``.
        results_folder: as for ``read_results``.
        document: the page. It and its appendix, ``appendix_of(document)``, contain
            ``<!-- study:begin -->`` and ``<!-- study:end -->``.
        lists: in order, by default test and validation. The page shows the first.

    Returns:
        The page and the appendix.

    Raises:
        FileNotFoundError: the folder, the page or the appendix does not exist.
        ValueError: a file does not contain each marker once and in order, or a file of
            results is broken. Neither file is changed.
    """
    results, lists = read_results(results_folder), lists or LISTS[::-1]
    found = {Path(document): summary(plan, results, lists[0]),
             appendix_of(document): report(plan, results, lists)}
    texts = {path: _filled(path, text) for path, text in found.items()}
    for path, text in texts.items():
        write_text(path, text)
    return [*texts]


def _filled(document: Path, content: str) -> str:
    """Returns the text of a document with new content between its markers."""
    text = document.read_text(encoding='utf-8')
    begin, end = text.find(BEGIN), text.find(END)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or end < begin:
        raise ValueError(
            f'{document}: expected one {BEGIN} and, below it, one {END}, found '
            f'{text.count(BEGIN)} and {text.count(END)}; put them around the place of '
            'the tables.')
    return f'{text[:begin]}{BEGIN}\n\n{content}\n\n{text[end:]}'
