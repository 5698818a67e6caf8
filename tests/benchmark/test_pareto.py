"""The plot of quality against time."""

import io

import pytest

from fdsr.benchmark.pareto import pareto_figure, pareto_front, read_quality


@pytest.fixture
def table(tmp_path):
    path = tmp_path / 'table.csv'
    path.write_text('method,degradation,faces,LPIPS\nBicubic,clean,all,0.4\n'
                    'compact,clean,all,0.14\ncompact,clean,one,0.9\n'
                    'small,clean,all,\n')
    return path


def test_the_front_has_what_is_faster_or_better():
    points = dict(d=(4.0, 0.1), c=(3.0, 0.25), a=(1.0, 0.3), b=(2.0, 0.2), e=(2.0, 0.3))
    assert pareto_front(points) == ['a', 'b', 'd']


def test_methods_with_both_values_are_shown(table):
    quality = read_quality(table, ['clean'])
    assert quality == {'clean': dict(Bicubic=0.4, compact=0.14)}
    figure = pareto_figure(quality, dict(compact=90.0, small=25.0), 'ms')
    [axes] = figure.axes
    assert [text.get_text() for text in axes.texts] == ['compact']
    assert axes.get_title() == 'clean'
    file = io.BytesIO()
    figure.savefig(file, format='png')
    assert file.getvalue().startswith(b'\x89PNG')


def test_other_tables_are_refused(table):
    with pytest.raises(ValueError, match="no LPIPS of the degradation 'JPEG 1'"):
        read_quality(table, ['JPEG 1'])
    table.write_text('a,b\n1,2\n')
    with pytest.raises(ValueError, match='expected table.csv'):
        read_quality(table, ['clean'])
