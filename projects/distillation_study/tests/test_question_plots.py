"""Plots of the second study's questions."""

import pytest

from fdsr.evaluation.protocol import write_rows
from projects.distillation_study.study.plots import write_plots
from projects.distillation_study.study.question_plots import (
    draw_compute,
    draw_data,
    draw_gate,
    draw_only_lr,
    read_costs,
)
from projects.distillation_study.study.results import (
    METRICS,
    read_results,
    write_result,
)
from projects.distillation_study.study.timing import add_costs

#: LPIPS of each arm
VALUES = dict(few=0.40, many=0.30, longer=0.20, few_taught=0.35, taught=0.25,
              labelled=0.33)
SECONDS = dict(main={'loading a batch': 0.1, 'plain': 0.4, 'taught': 0.5,
                     'teacher': 0.4, 'atoms of HR': 0.1},
               teacher={'loading a batch': 0.1, 'iteration': 3.9})
QUESTIONS = dict(
    compute=dict(plain={100: 'many', 200: 'longer'}, iterations=100, distilled=dict(
        taught=dict(teacher_iterations=50), missing={})),
    data={'plain': {300: 'few', 2000: 'many'},
          'taught': {100: 'missing', 300: 'few_taught', 2000: 'taught'}},
    only_lr=['few', 'labelled', 'missing', 'many'])


@pytest.fixture
def folder(tmp_path):
    for arm, value in VALUES.items():
        for seed in (0, 1):
            write_result(tmp_path / 'results', arm, seed, [
                dict(list=which, name=f'n{number}', **{
                    metric: value + 0.01 * number + 0.001 * seed
                    for metric in METRICS})
                for which in ('val', 'test') for number in (-1, 0, 1)])
    for config, seconds in SECONDS.items():
        add_costs(tmp_path / 'results' / 'costs.csv', config, seconds)
    return tmp_path / 'results'


@pytest.fixture
def costs(folder):
    return read_costs(folder / 'costs.csv', 'taught', 100, teacher_iterations=50)


def test_costs_are_read_and_replaced(folder, costs):
    assert (costs.student, costs.distilled, costs.forward, costs.teacher) == (
        0.5, 0.6, 0.4, 4.0)
    add_costs(folder / 'costs.csv', 'teacher', {'loading a batch': 1, 'iteration': 2})
    assert read_costs(folder / 'costs.csv', 'taught', 1).teacher == 3
    with pytest.raises(ValueError, match=r"costs.csv: .*'main', 'other'.*--out"):
        read_costs(folder / 'costs.csv', 'other', 100)


def test_data_shows_the_arms_with_results(folder):
    figure = draw_data(QUESTIONS['data'], read_results(folder))
    panel = figure.axes[1]
    drawn = {bars.get_label(): bars.lines[0] for bars in panel.containers}
    assert drawn['plain'].get_xdata().tolist() == [300, 2000]
    assert drawn['taught'].get_xdata().tolist() == [300, 2000]
    assert drawn['taught'].get_ydata() == pytest.approx([0.3505, 0.2505])
    assert panel.get_ylabel() == 'LPIPS ↓' and panel.get_xscale() == 'log'
    assert draw_data({'plain': {300: 'few'}}, read_results(folder)) is None


def test_images_without_hr(folder):
    figure = draw_only_lr([(name, name.upper()) for name in QUESTIONS['only_lr']],
                          read_results(folder))
    texts = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert texts == ['LABELLED − FEW', 'MANY − FEW']
    points = [line.get_xdata()[0] for line in figure.axes[1].lines
              if line.get_marker() == 'o']
    assert points == pytest.approx([-0.07, -0.1])
    assert draw_only_lr([('few', 'few')], read_results(folder)) is None


def test_the_gates_differences(tmp_path):
    values = {'as usual': (20.0, 22.0), 'better': (21.0, 23.0), 'worse': (19.0, 21.0)}
    write_rows(tmp_path / 'gate.csv', [
        dict(variant=variant, name=name, PSNR=psnr, SSIM=0.5, LPIPS=1 - psnr / 100)
        for variant, pair in values.items() for name, psnr in zip('ab', pair)])
    panel, other = draw_gate(tmp_path / 'gate.csv').axes
    texts = [tick.get_text() for tick in panel.get_yticklabels()]
    assert texts == ['better − as usual', 'worse − as usual']
    points = [[line.get_xdata()[0] for line in axes.lines if line.get_marker() == 'o']
              for axes in (panel, other)]
    assert points == [pytest.approx([1, -1]), pytest.approx([-0.01, 0.01])]
    with pytest.raises(ValueError, match='has 0 finished variants'):
        draw_gate(tmp_path / 'none.csv')


def test_compute_includes_the_teacher(folder, costs):
    plain, results = QUESTIONS['compute']['plain'], read_results(folder)
    panel, = draw_compute(plain, dict(taught=costs, missing=costs), results).axes
    curve, distilled = panel.lines
    assert curve.get_xdata() == pytest.approx([50 / 3600, 100 / 3600])
    # (50 × 4 s for the teacher) / students + 100 × 1 s
    assert distilled.get_xdata() * 3600 == pytest.approx([300, 200, 150, 125, 100])
    assert curve.get_ydata() == pytest.approx([0, -0.1])
    assert distilled.get_ydata() == pytest.approx([-0.05] * 5)
    # as good as 141 iterations of 0.5 s, which cost less than 100 s
    assert distilled.get_label().endswith('break-even: never')
    short = read_costs(folder / 'costs.csv', 'taught', 50, teacher_iterations=50)
    panel, = draw_compute(plain, dict(taught=short), results).axes
    assert panel.lines[1].get_label().endswith('break-even: 10 students per teacher')
    assert draw_compute({100: 'many'}, dict(taught=costs), results) is None


def test_compute_compares_equal_seeds(folder, costs):
    """A lucky seed of a longer training does not count as an effect of its length."""
    plain = QUESTIONS['compute']['plain']
    for metric, value in ('many', 0.1), ('longer', 0.05):
        write_result(folder, metric, 2, [
            dict(list=which, name=f'n{number}', **dict.fromkeys(METRICS, value))
            for which in ('val', 'test') for number in (-1, 0, 1)])
    for seed in (0, 1):
        (folder / f'longer-s{seed}.csv').unlink()
    panel, = draw_compute(plain, dict(taught=costs), read_results(folder)).axes
    curve, distilled = panel.lines
    assert curve.get_ydata() == pytest.approx([0, -0.05])
    assert distilled.get_ydata() == pytest.approx([-0.05] * 5)


def test_compute_without_a_trained_teacher(folder):
    plain, results = QUESTIONS['compute']['plain'], read_results(folder)
    for iterations, answer in (100, 'less'), (102, 'more'):
        # as good as 141 iterations of 0.5 s; 0.1 s for loading, 0.5 and 0.1 for the arm
        costs = read_costs(folder / 'costs.csv', 'taught', iterations, ['atoms of HR'])
        assert costs.per_distilled_student == pytest.approx(0.7 * iterations)
        panel, = draw_compute(plain, dict(taught=costs), results).axes
        assert panel.lines[1].get_xdata() * 3600 == pytest.approx([0.7 * iterations])
        assert f'costs {answer} than plain' in panel.lines[1].get_label()


def test_the_files_of_a_plan_with_questions(folder, tmp_path):
    questions = dict(QUESTIONS, compute=dict(
        QUESTIONS['compute'], costs=str(folder / 'costs.csv'),
        distilled=dict(taught=dict(parts=['atoms of HR']))))
    plan = dict(arms=[dict(name=name, label=name) for name in [*VALUES, 'missing']],
                questions=questions)
    paths = write_plots(plan, folder, tmp_path / 'plots')
    assert [path.name for path in paths] == ['data.png', 'only_lr.png', 'compute.png']
    (folder / 'costs.csv').unlink()
    assert len(write_plots(plan, folder, tmp_path / 'plots')) == 2
