"""The tables of a study whose effects are known."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from projects.distillation_study.study.document import (
    BEGIN,
    END,
    appendix_of,
    summary_table,
    write_report,
)
from projects.distillation_study.study.report import (
    accuracy_table,
    arms_of,
    arms_table,
    compared,
    differences_table,
    paper_recovery,
    recovery_table,
    report,
)
from projects.distillation_study.study.results import METRICS, read_results
from projects.distillation_study.study.statistics import Samples
from projects.distillation_study.tests.simulation import PLAN, write_study


def by_label(table):
    return {line[0]: dict(zip(table[0], line)) for line in table[1]}


def test_all_arms_with_intervals(results):
    table = arms_table(PLAN, results, 'test')
    assert table[0] == ['Arm', 'group', 'seeds', 'PSNR ↑', 'SSIM ↑', 'LPIPS ↓',
                        'LPIPS-vgg16 ↓', 'ID-dlib ↑']
    assert [line[0] for line in table[1]] == [
        'bicubic', 'Teacher', 'S w/o KD', 'Student (adversarial)', 'Student (L1)',
        'from the teacher, KD', 'CSD']
    line = by_label(table)['S w/o KD']
    assert line['seeds'] == '0, 1, 2' and line['group'] == 'core'
    assert re.fullmatch(r'\d\d\.\d\d \[\d\d\.\d\d, \d\d\.\d\d\]', line['PSNR ↑'])
    assert re.fullmatch(r'0\.\d{4} \[0\.\d{4}, 0\.\d{4}\]', line['LPIPS ↓'])


def test_the_two_lists_are_told_apart(results):
    assert arms_table(PLAN, results, 'val') != arms_table(PLAN, results, 'test')


def test_unfinished_arms_are_listed_as_such(tmp_path):
    write_study(tmp_path, ['control', 'kd'])
    (tmp_path / 'kd-s1.csv').unlink()
    results = read_results(tmp_path)
    lines = by_label(arms_table(PLAN, results, 'test'))
    assert lines['Student (adversarial)']['seeds'] == '0, 2 *(unfinished: 1)*'
    assert lines['CSD']['seeds'] == '*(unfinished: 0)*'
    assert lines['CSD']['PSNR ↑'] == '–'
    assert 'bicubic' not in lines
    without = dict(arms=[{**arm, 'seeds': None} for arm in PLAN['arms']])
    assert by_label(arms_table(without, results, 'test'))[
        'CSD']['seeds'] == '*(unfinished: all)*'
    assert [arm['name'] for arm in compared(PLAN, results)] == ['kd']


def test_differences_have_signs_seeds_and_agreement(results):
    lines = by_label(differences_table(PLAN, results, 'test'))
    cell = lines['from the teacher, KD']['Δ PSNR ↑']
    number = r'\+\d\.\d\d'
    found = re.fullmatch(
        rf'\*\*({number}) \[{number}, {number}\]\*\*<br>({number}), {number}, '
        rf'{number} \(3/3\)', cell)
    assert found and float(found[1]) == pytest.approx(0.32, abs=0.06)
    assert lines['from the teacher, KD']['Δ LPIPS ↓'].startswith('**-0.01')
    assert lines['from the teacher, KD']['control'] == 'S w/o KD'
    assert not lines['Student (L1)']['Δ PSNR ↑'].startswith('**')
    assert '*' not in lines['CSD †']['Δ LPIPS ↓']  # one seed, whatever its interval
    assert '<br>' not in lines['CSD †']['Δ PSNR ↑'] and 'S w/o KD' not in lines
    assert '<br>' in lines['Teacher †']['Δ PSNR ↑']  # beside each of the control's


def test_arms_stand_beside_others_than_their_control(results):
    arms = [{**arm, 'beside': ['l1', 'csd']} if arm['name'] == 'kd' else arm
            for arm in PLAN['arms']]
    plan = dict(arms=arms)
    *others, last = compared(plan, results)[-2:]
    assert [(arm['name'], arm['control']) for arm in others + [last]] == [
        ('kd', 'l1'), ('kd', 'csd')]
    assert last['group'] == 'arm beside arm'
    line, single = differences_table(plan, results, 'test')[1][-2:]
    kd, l1 = (results.samples(name, 'test', 'PSNR').values for name in ('kd', 'l1'))
    assert line[:2] == ['Student (adversarial)', 'Student (L1)']
    assert single[:2] == ['Student (adversarial) †', 'CSD']  # one seed in common
    assert f'{(kd - l1).mean():+.2f} [' in line[2]
    # shares of the gap are the controls' alone
    assert recovery_table(plan, results, 'val') == recovery_table(PLAN, results, 'val')
    with pytest.raises(ValueError, match="beside of kd is 'none'"):
        arms_of(dict(arms=[*PLAN['arms'], {**arms[2], 'beside': ['none']}]), results)


def test_the_gap_is_shown_though_the_plan_does_not_compare_the_teacher(results):
    arms = [{**arm, 'control': None} if arm['name'] == 'teacher' else arm
            for arm in PLAN['arms']]
    first, *others = compared(dict(arms=arms), results)
    assert (first['name'], first['control'], first['group']) == (
        'teacher', 'control', 'the gap')
    assert [arm['name'] for arm in others] == ['kd', 'l1', 'start', 'csd']


def test_the_share_of_the_gap_stands_beside_the_papers(results):
    lines = by_label(recovery_table(PLAN, results, 'test'))
    assert list(lines) == ['Student (adversarial)', 'Student (L1)',
                           'from the teacher, KD', 'CSD †', '*the paper*']
    found = re.fullmatch(r'(\d+) % \[(\d+), (\d+)\]',
                         lines['from the teacher, KD']['LPIPS'])
    assert int(found[2]) <= int(found[1]) <= int(found[3])
    assert int(found[1]) == pytest.approx(80, abs=15)
    assert lines['CSD †']['LPIPS-vgg16'] == 'teacher worse'
    assert lines['CSD †']['ID-dlib'] == 'gap not shown'
    assert [*lines['*the paper*'].values()] == [
        '*the paper*', '87 %', '90 %', '71 %', '–', '–']
    assert paper_recovery()['PSNR'] == pytest.approx(0.786 / 0.903)


def test_a_share_of_what_may_be_nothing_has_no_ends():
    teacher = np.random.default_rng(13).normal(24, 1, (1, 60))
    control = teacher - np.array([[0.3], [0.02], *[[0.3 + 0.01 * n] for n in range(6)]])
    samples = dict(
        teacher=Samples((0,), teacher), control=Samples(tuple(range(8)), control),
        kd=Samples((0, 1), control[:2] + 0.08))  # seeds that do not show the gap
    results = SimpleNamespace(
        arms=list(samples), metrics=METRICS, seeds=lambda name: samples[name].seeds,
        samples=lambda name, which, metric: samples[name])
    plan = dict(arms=[dict(name='teacher'), dict(name='control'), dict(
        name='kd', control='control', teacher='teacher')])
    assert by_label(recovery_table(plan, results, 'test'))[
        'kd']['PSNR'] == '50 % [-∞, ∞]'


def test_accuracy_at_iterations(results):
    table = accuracy_table(PLAN, results)
    assert table[0] == ['D of', '200', '500', '1000', '1500', '2000']
    lines = by_label(table)
    assert list(lines) == ['Student (adversarial)', 'from the teacher, KD', 'CSD']
    values = [float(text[:4]) for text in [*lines['CSD'].values()][1:]]
    assert values == sorted(values) and values[-1] == pytest.approx(0.8, abs=0.05)
    assert re.fullmatch(r'0\.\d\d \[0\.\d\d, 0\.\d\d\]',
                        lines['Student (adversarial)']['1000'])
    assert re.fullmatch(r'0\.\d\d', lines['CSD']['1000'])


def test_a_plan_that_names_what_it_does_not_have(results):
    plan = dict(arms=[dict(name='kd', control='gone')])
    with pytest.raises(ValueError, match="control of kd is 'gone'; .* bicubic, kd"):
        arms_of(plan, results)


def test_results_that_are_not_of_the_plan_are_named(results):
    plan = dict(arms=[arm for arm in PLAN['arms'] if arm['name'] != 'csd'])
    assert 'not in the plan: csd.' in report(plan, results)
    assert 'not in the plan' not in report(PLAN, results)


def test_the_summary_has_arms_with_several_runs_and_their_teachers(results):
    table = summary_table(PLAN, results, 'test')
    assert table[0] == ['Arm', 'runs', 'PSNR ↑', 'LPIPS ↓', 'compared with', 'Δ PSNR ↑',
                        'Δ LPIPS ↓', 'LPIPS gap closed']
    lines = by_label(table)
    assert list(lines) == ['Teacher', 'S w/o KD', 'Student (adversarial)',
                           'Student (L1)', 'from the teacher, KD']
    full = {name: by_label(make(PLAN, results, 'test')) for name, make in dict(
        arms=arms_table, differences=differences_table, shares=recovery_table).items()}
    line = lines['from the teacher, KD']
    assert line['runs'] == '3' and line['compared with'] == 'S w/o KD'
    for metric in ('PSNR ↑', 'LPIPS ↓'):
        assert full['arms']['from the teacher, KD'][metric].startswith(
            f'{line[metric]} [')
        assert full['differences']['from the teacher, KD'][f'Δ {metric}'].startswith(
            f'{line[f"Δ {metric}"]}<br>')
    assert line['LPIPS gap closed'] == full['shares']['from the teacher, KD']['LPIPS']
    assert [*lines['S w/o KD'].values()][4:] == ['–', '–', '–', '–']
    assert lines['Teacher']['runs'] == '1'
    assert lines['Teacher']['LPIPS gap closed'] == '–'


def test_a_teacher_of_single_runs_is_not_in_the_summary(results):
    arms = [{**arm, 'teacher': None} if arm['name'] != 'csd' else arm
            for arm in PLAN['arms']]
    assert 'Teacher' not in by_label(summary_table(dict(arms=arms), results, 'val'))


@pytest.fixture
def documents(tmp_path):
    document = tmp_path / 'study.md'
    appendix = appendix_of(document)
    for path in (document, appendix):
        path.write_text(f'# Study\n\n{BEGIN}\noutdated\n{END}\n\nWhy – because.\n')
    return document, appendix


def test_the_report_replaces_the_text_between_the_markers(folder, documents):
    document, appendix = documents
    assert appendix.name == 'study_appendix.md'
    lists = ['test', 'val']
    assert write_report(PLAN, folder, document, lists) == [document, appendix]
    page, tables = document.read_text(), appendix.read_text()
    assert page.startswith(f'# Study\n\n{BEGIN}\n\n| Arm | runs | PSNR ↑ |')
    assert tables.startswith(f'# Study\n\n{BEGIN}\n\n### Test: all arms\n\n| Arm |')
    for text in (page, tables):
        assert text.endswith(f'\n\n{END}\n\nWhy – because.\n')
        assert 'outdated' not in text
    assert '\n\nTest: 40 images. ' in page and '###' not in page
    assert tables.index('### Test: diff') < tables.index('### Validation: all arms')
    write_report(PLAN, folder, document, lists)
    assert (document.read_text(), appendix.read_text()) == (page, tables)
    write_report(PLAN, folder, document)  # by default validation only
    assert '### Test' not in appendix.read_text()
    assert '\n\nValidation: 40 images. ' in document.read_text()


@pytest.mark.parametrize('broken', [0, 1])
@pytest.mark.parametrize('text', ['nothing', BEGIN, f'{END}\n{BEGIN}',
                                  f'{BEGIN}{BEGIN}{END}'])
def test_documents_without_markers_are_left_alone(folder, documents, broken, text):
    documents[broken].write_text(text)
    before = [path.read_text() for path in documents]
    name = re.escape(documents[broken].name)
    with pytest.raises(ValueError, match=f'{name}: expected one <!-- study:begin'):
        write_report(PLAN, folder, documents[0])
    assert [path.read_text() for path in documents] == before


def test_a_missing_appendix_leaves_the_page_alone(folder, documents):
    document, appendix = documents
    before = document.read_text()
    appendix.unlink()
    with pytest.raises(FileNotFoundError, match='study_appendix'):
        write_report(PLAN, folder, document)
    assert document.read_text() == before


def test_nothing_is_finished_yet(tmp_path):
    text = report(PLAN, read_results(tmp_path), ['test', 'val'])
    assert text.count('No comparison is possible yet') >= 3
    assert '| Teacher | reference | *(unfinished: 0)* | – |' in text
    assert summary_table(PLAN, read_results(tmp_path), 'test')[1] == []
