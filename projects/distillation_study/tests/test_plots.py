"""Plots of a study: content and files."""

import numpy as np
import pytest
from PIL import Image

from projects.distillation_study.study.plots import (
    draw_accuracy,
    draw_forest,
    draw_learning,
    write_plots,
)
from projects.distillation_study.study.report import compare, compared
from projects.distillation_study.study.results import read_results
from projects.distillation_study.tests.simulation import PLAN, write_study


def lines_of(panel, thick):
    return [line for line in panel.lines if (line.get_linewidth() > 1) == thick]


def test_the_files_are_small_and_there_is_nothing_else(folder, tmp_path):
    out = tmp_path / 'plots'
    paths = write_plots(PLAN, folder, out, 'test')
    assert [path.name for path in paths] == [
        'learning.png', 'accuracy.png', 'forest.png']
    assert sorted(out.iterdir()) == sorted(paths)
    for path in paths:
        assert path.stat().st_size < 100_000
        grey = np.asarray(Image.open(path).convert('L'))
        assert grey.max() == 255 and (grey < 60).mean() > 0.002


def test_learning_curves_have_a_thin_line_a_seed_and_their_mean(results):
    figure = draw_learning(PLAN, results)
    columns = figure.axes[:len(figure.axes) // 2]
    assert [panel.get_title() for panel in columns] == [
        'reference', 'core', 'from the teacher', 'single']
    core = columns[1]
    assert len(lines_of(core, thick=False)) == 9
    means = {line.get_label(): line for line in lines_of(core, thick=True)}
    assert list(means) == ['S w/o KD', 'Student (adversarial)', 'Student (L1)']
    expected = np.mean([results.curves('kd')[seed]['val/PSNR'][1]
                        for seed in (0, 1, 2)], axis=0)
    line = means['Student (adversarial)']
    assert line.get_ydata() == pytest.approx(expected)
    assert line.get_xdata().tolist() == [500, 1000, 1500, 2000]
    looks = {(line.get_linestyle(), line.get_marker()) for line in means.values()}
    assert len(looks) == 3
    assert columns[0].get_ylabel() == 'validation PSNR ↑, dB'
    assert figure.axes[-1].get_xlabel() == 'iteration'


def test_the_accuracy_of_every_discriminator(results):
    figure = draw_accuracy(PLAN, results)
    assert [panel.get_title() for panel in figure.axes] == [
        'core', 'from the teacher', 'single']
    line, = lines_of(figure.axes[2], thick=True)
    logged = results.curves('csd')[0]['d_accuracy_adversarial'][1]
    assert line.get_ydata()[10] == pytest.approx(logged[8:13].mean())
    assert line.get_ydata()[0] == pytest.approx(logged[:3].mean())


def test_the_forest_shows_each_difference_with_its_interval(results):
    panel = draw_forest(PLAN, results, 'test').axes[0]
    texts = [tick.get_text() for tick in panel.get_yticklabels()]
    assert texts[:4] == ['reference', 'Teacher − S w/o KD', 'core',
                         'Student (adversarial) − S w/o KD']
    points = [line for line in panel.lines if line.get_marker() == 'o']
    found = [compare(results, arm, 'test', 'PSNR') for arm in compared(PLAN, results)]
    assert [line.get_xdata()[0] for line in points] == [
        one.estimate.mean for one in found]
    filled = [one.excludes_zero and len(one.seeds) > 1 for one in found]
    assert [line.get_markerfacecolor() != 'white' for line in points] == filled
    assert any(filled) and any(one.excludes_zero for one in found if len(one.seeds) < 2)
    control = compared(PLAN, results)[0]['control']
    means = results.samples(control, 'test', 'PSNR').values.mean(axis=1)
    band = panel.patches[0]
    assert (band.get_x(), band.get_width()) == pytest.approx(
        (means.min() - means.max(), 2 * (means.max() - means.min())))
    assert panel.get_xlabel() == 'Δ PSNR, dB (better: right)'


def test_labels_do_not_overlap(results):
    figure = draw_forest(PLAN, results, 'test')
    figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
    heights = sorted((box.y0, box.y1) for box in boxes)
    assert all(below[1] <= above[0] for below, above in zip(heights, heights[1:]))
    assert min(box.x0 for box in boxes) >= 0


def test_runs_that_logged_at_different_places_have_their_mean_where_all_did(tmp_path):
    write_study(tmp_path, ['kd'])
    path = tmp_path / 'kd-s1-curve.csv'
    path.write_text(''.join(path.read_text().splitlines(keepends=True)[:50]))
    figure = draw_learning(PLAN, read_results(tmp_path))
    line, = lines_of(figure.axes[0], thick=True)
    assert line.get_xdata().tolist() == [500, 1000]


def test_nothing_to_draw(tmp_path):
    assert write_plots(PLAN, tmp_path, tmp_path / 'out') == []
