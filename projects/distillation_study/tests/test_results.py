"""The files of finished runs: written, read, and refused where they are broken."""

import numpy as np
import pytest

from projects.distillation_study.study.results import (
    METRICS,
    curve_path,
    is_finished,
    read_results,
    result_path,
    write_curve,
    write_result,
)


def rows_of(values, names=('b.png', 'a.png'), lists=('val', 'test')):
    return [{'list': which, 'name': name,
             **{metric: value + place for place, metric in enumerate(METRICS)}}
            for which in lists for name, value in zip(names, values)]


def edited(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def test_what_is_written_is_read(tmp_path):
    folder = tmp_path / 'new'
    assert not is_finished(folder, 'kd', 0)
    rows = rows_of([1.0, 2.0])
    rows[0]['PSNR'] = 23.456789
    path = write_result(folder, 'kd', 0, rows)
    assert is_finished(folder, 'kd', 0) and not is_finished(folder, 'kd', 1)
    assert path.read_text().splitlines()[:2] == [
        'list,name,PSNR,SSIM,LPIPS,LPIPS-vgg16,ID-dlib', 'val,b.png,23.457,2,3,4,5']
    results = read_results(folder)
    assert results.images('val') == ('a.png', 'b.png')
    assert results.samples('kd', 'val', 'PSNR').values.tolist() == [[2.0, 23.457]]
    assert results.samples('kd', 'test', 'ID-dlib').values.tolist() == [[6.0, 5.0]]


def test_arms_and_seeds_are_those_of_the_files(tmp_path):
    for arm, seed in (('kd', 2), ('kd', 0), ('kd-s', 11), ('teacher', 0)):
        write_result(tmp_path, arm, seed, rows_of([seed, seed]))
    write_curve(tmp_path, 'kd', 5, [{'iteration': 1, 'loss_pixel': 1.0}])
    (tmp_path / 'notes.csv').write_text('not a result')
    results = read_results(tmp_path)
    assert results.arms == ['kd', 'kd-s', 'teacher']
    assert results.seeds('kd') == (0, 2) and results.seeds('kd-s') == (11,)
    assert results.seeds('other') == ()
    assert results.samples('kd', 'test', 'PSNR').values.tolist() == [[0, 0], [2, 2]]


def test_identity_may_be_missing(tmp_path):
    write_result(tmp_path, 'kd', 0, rows_of([1.0, 2.0]))
    assert read_results(tmp_path).metrics == METRICS
    rows = [{key: value for key, value in row.items() if key != 'ID-dlib'}
            for row in rows_of([1.0, 2.0])]
    write_result(tmp_path, 'kd', 1, rows)
    results = read_results(tmp_path)
    assert results.metrics == METRICS[:-1]
    assert results.samples('kd', 'val', 'SSIM').values.tolist() == [[3, 2], [3, 2]]
    with pytest.raises(KeyError, match="'ID-dlib'"):
        results.samples('kd', 'val', 'ID-dlib')
    with pytest.raises(ValueError, match='line 3: column ID-dlib is missing'):
        write_result(tmp_path, 'kd', 1, [rows_of([1.0, 2.0])[0], *rows[1:]])


def test_images_stand_in_the_same_order_whatever_the_files(tmp_path):
    write_result(tmp_path, 'kd', 0, rows_of([1.0, 2.0], ('a', 'b')))
    write_result(tmp_path, 'kd', 1, rows_of([2.0, 1.0], ('b', 'a')))
    values = read_results(tmp_path).samples('kd', 'val', 'PSNR').values
    assert values.tolist() == [[1.0, 2.0], [1.0, 2.0]]


def test_values_may_be_text_as_read_from_a_csv(tmp_path):
    rows = [{key: str(value) for key, value in row.items()}
            for row in rows_of([0.123456789, 2.0])]
    rows[0]['model'] = 'student'
    write_result(tmp_path, 'kd', 0, rows)
    assert read_results(tmp_path).samples('kd', 'val', 'PSNR').values[0, 1] == 0.12346


def test_two_hundred_images_a_list_stay_small(tmp_path):
    rng = np.random.default_rng(0)
    names = [f'n{number:06d}/0001_01' for number in range(200)]
    path = write_result(tmp_path, 'kd', 0, rows_of(rng.random(200), names))
    assert path.stat().st_size < 25000


@pytest.mark.parametrize('old, new, match', [
    ('SSIM', 'SSIN', r'kd-s0\.csv, line 2: column SSIM is missing'),
    ('a.png,2,3', 'a.png,2,much', r'kd-s0\.csv, line 3, column SSIM: .* \'much\''),
    ('a.png,2,3', 'a.png,2,nan', r'column SSIM: expected a finite number'),
    ('a.png,2,3', 'a.png,2,', r'line 3: column SSIM is missing'),
    ('a.png', 'b.png', r'column name: \'b.png\' is listed twice in val'),
    ('val', 'train', r'column list: expected one of val, test, found \'train\'')])
def test_broken_results_are_named(tmp_path, old, new, match):
    edited(write_result(tmp_path, 'kd', 0, rows_of([1.0, 2.0])), old, new)
    with pytest.raises(ValueError, match=match):
        read_results(tmp_path)


def test_a_file_that_was_cut_off_is_named(tmp_path):
    path = write_result(tmp_path, 'kd', 0, rows_of([1.0, 2.0]))
    path.write_text(path.read_text()[:70])
    with pytest.raises(ValueError, match=r'kd-s0\.csv, line 3: column name'):
        read_results(tmp_path)
    path.write_text('')
    with pytest.raises(ValueError, match='there are no rows'):
        read_results(tmp_path)


def test_broken_rows_are_not_written(tmp_path):
    for rows, match in (
            ([], 'no rows'), (rows_of([1.0, float('inf')]), 'PSNR: expected a finite'),
            ([{'list': 'val', 'name': 'a'}], 'column PSNR is missing')):
        with pytest.raises(ValueError, match=match):
            write_result(tmp_path, 'kd', 0, rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('names, lists, match', [
    (('a', 'c'), ('val', 'test'), r"x-s1\.csv, .*images of val .*kd-s0\.csv; 2 .*'b'"),
    (('a', 'b'), ('val',), r'x-s1\.csv, column name: the images of test')])
def test_other_images_cannot_be_compared(tmp_path, names, lists, match):
    write_result(tmp_path, 'kd', 0, rows_of([1.0, 2.0], ('a', 'b')))
    write_result(tmp_path, 'x', 1, rows_of([1.0, 2.0], names, lists))
    with pytest.raises(ValueError, match=match):
        read_results(tmp_path)


def test_nothing_there(tmp_path):
    results = read_results(tmp_path)
    assert results.arms == [] and results.images('val') == ()
    with pytest.raises(KeyError, match="'kd' on 'val' in 'PSNR'; finished are none"):
        results.samples('kd', 'val', 'PSNR')
    with pytest.raises(FileNotFoundError, match='no folder of results at .*gone'):
        read_results(tmp_path / 'gone')


# Curves

def test_curves_hold_what_was_logged_where_it_was(tmp_path):
    write_result(tmp_path, 'kd', 0, rows_of([1.0, 2.0]))
    write_result(tmp_path, 'kd', 1, rows_of([1.0, 2.0]))
    path = write_curve(tmp_path, 'kd', 0, [
        {'iteration': 1025, 'loss_pixel': 1.23456789},
        {'iteration': 500, 'loss_pixel': '2', 'val/PSNR': 21.5},
        {'iteration': 1500, 'val/PSNR': 22.5, 'd_accuracy_adversarial': None}])
    assert path == curve_path(tmp_path, 'kd', 0)
    assert path.read_text().splitlines()[:2] == [
        'iteration,loss_pixel,val/PSNR,d_accuracy_adversarial', '1025,1.2346,,']
    curves = read_results(tmp_path).curves('kd')
    assert list(curves) == [0] and set(curves[0]) == {'loss_pixel', 'val/PSNR'}
    iterations, values = curves[0]['val/PSNR']
    assert iterations.tolist() == [500, 1500] and values.tolist() == [21.5, 22.5]
    assert curves[0]['loss_pixel'][0].tolist() == [500, 1025]


@pytest.mark.parametrize('text, match', [
    ('step,loss\n1,2\n', r'kd-s0-curve\.csv, line 2: column iteration is missing'),
    ('iteration,loss\n1,x\n', r'kd-s0-curve\.csv, line 2, column loss: .*\'x\''),
    ('', r'kd-s0-curve\.csv: there are no rows')])
def test_broken_curves_are_named(tmp_path, text, match):
    write_result(tmp_path, 'kd', 0, rows_of([1.0, 2.0]))
    curve_path(tmp_path, 'kd', 0).write_text(text)
    with pytest.raises(ValueError, match=match):
        read_results(tmp_path)


def test_an_empty_curve_is_not_written(tmp_path):
    with pytest.raises(ValueError, match='no rows'):
        write_curve(tmp_path, 'kd', 0, [])
    assert not result_path(tmp_path, 'kd', 0).exists()
    assert list(tmp_path.iterdir()) == []
