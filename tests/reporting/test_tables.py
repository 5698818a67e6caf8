"""Tables in Markdown and LaTeX."""

from fdsr.reporting.tables import (
    SpanningNote,
    latex_table,
    markdown_table,
    protocol_lines,
)

HEADER = ['Method', 'PSNR ↑', 'SSIM ↑']


def test_markdown_aligns_and_escapes():
    assert markdown_table(HEADER, [['a|b', 1, None]]).split('\n') == [
        '| Method | PSNR ↑ | SSIM ↑ |', '|---|---:|---:|', r'| a\|b | 1 | None |']


def test_latex_escapes():
    lines = latex_table(HEADER, [['a_b & 50% ~^\\', 'Δ', '–']]).split('\n')
    assert lines[:3] == [r'\begin{tabular}{lrr}', r'\toprule',
                         r'Method & PSNR $\uparrow$ & SSIM $\uparrow$ \\']
    assert lines[4] == (r'a\_b \& 50\% \textasciitilde{}\textasciicircum{}'
                        r'\textbackslash{} & $\Delta$ & -- \\')


def test_a_note_spans_the_empty_cells_after_it():
    row = ['A', SpanningNote('no file_1'), '']
    assert markdown_table(HEADER, [row]).split('\n')[2] == '| A | *no file_1* |  |'
    assert latex_table(HEADER, [row]).split('\n')[4] == (
        r'A & \multicolumn{2}{l}{\emph{no file\_1}} \\')
    # A plain cell before an empty one is left as it is.
    assert latex_table(HEADER, [['A', 'b', '']]).split('\n')[4] == r'A & b &  \\'


def test_protocols_have_one_line_per_fact_and_metric():
    assert protocol_lines(dict(
        colour_space='RGB', seed=None, metrics=dict(PSNR=dict(border=0)),
        columns=dict(PSNR=dict(digits=2)))) == [
            '- colour space: RGB', '- seed: none', '- PSNR: border 0']
