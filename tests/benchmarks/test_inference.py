"""The tables and the plot of the inference benchmark."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / 'benchmarks' / 'inference.py'


@pytest.fixture(scope='module')
def benchmark():
    return runpy.run_path(str(SCRIPT), run_name='benchmark')


@pytest.fixture
def rows(benchmark):
    """Two networks, of which the second cannot be quantized."""
    entry = benchmark['Entry']
    cases = [SimpleNamespace(name=name, parameters=1_340_000, gmacs=2.5)
             for name in ('compact', 'small')]
    return benchmark['rows_of'](cases, [
        entry('compact', 'onnx', 2, print, times=[0.3, 0.2]),
        entry('compact', 'int8', 2, print, times=[0.1]),
        entry('small', 'onnx', 2, print, times=[0.05]),
        entry('small', 'int8', 2, None, 'not quantized')])


def test_each_network_is_a_row_with_its_relative_speed(benchmark, rows):
    text = benchmark['markdown'](rows, 'CPU.')
    assert text.startswith('ms per face (speed relative to compact). CPU.')
    assert ('| network | parameters, M | GMACs | ONNX Runtime, batch 2 | '
            'ONNX Runtime int8, batch 2 |') in text
    assert '| compact | 1.34 | 2.50 | 100.0 (1.00×) | 50.0 (1.00×) |' in text
    assert '| small | 1.34 | 2.50 | 25.0 (4.00×) | – |' in text
    assert text.endswith('- small, ONNX Runtime int8: not quantized')
    assert rows[0]['calls'] == 2 and rows[2]['faces per s'] == pytest.approx(40)


def test_time_limits_the_rounds(benchmark):
    entry, calls = benchmark['Entry'], []
    entries = [entry('one', 'onnx', 1, lambda: calls.append('one')),
               entry('two', 'onnx', 1, None, 'why'),
               entry('three', 'onnx', 1, lambda: calls.append('three'))]
    benchmark['measure'](entries, 2, 60.0)
    assert calls == ['one', 'three', 'one', 'three']
    benchmark['measure'](entries, 2, 0.0)
    assert len(calls) == 4


def test_the_plot_shows_onnx_runtimes_time(benchmark, rows):
    assert benchmark['times_of'](rows) == (
        dict(compact=100.0, small=25.0), 'ms per face, ONNX Runtime, batch 2')
    assert benchmark['times_of'](rows[1:2])[0] == dict(compact=50.0)
