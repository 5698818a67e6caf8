"""Metrics declare direction and digits, and every output follows the declaration."""

import importlib
import json
import re

import numpy as np
import pytest
import torch

from fdsr.benchmark.benchmark_table import BenchmarkTable, write_tables
from fdsr.benchmark.gallery import choose_faces, read_values
from fdsr.benchmark.methods import Method
from fdsr.benchmark.running import Row, stored_info
from fdsr.evaluation import (
    FID,
    LPIPS,
    FaceEvaluator,
    IdentitySimilarity,
    MetricInfo,
    info_of,
    metric_info,
)
from fdsr.evaluation.metric_info import MMAGIC, column_infos
from fdsr.evaluation.pair_metric import PairMetric
from fdsr.evaluation.protocol import build_protocol, format_table, write_metrics
from fdsr.registry import METRICS
from fdsr.utils.files import write_json
from tests.conftest import REPOSITORY
from tests.evaluation.pictures import photographs
from tests.evaluation.test_evaluator import sample

NIQE = MetricInfo(higher_is_better=False, digits=1, unit='points')


@pytest.fixture
def registered(monkeypatch):
    """Registers metrics for one test."""
    monkeypatch.setattr(METRICS, '_module_dict', dict(METRICS.module_dict))
    return METRICS.register_module


@pytest.fixture
def niqe(registered):
    """A metric of a plugin, with other digits than mmagic's of the same name."""

    @registered()
    class ToyNIQE(PairMetric):
        metric = 'NIQE'
        higher_is_better, digits, unit = NIQE.higher_is_better, NIQE.digits, NIQE.unit

        def process_batch(self, gt, pred):
            return (pred.float() - gt.float()).abs().mean((1, 2, 3)).tolist()

    return dict(type='fdsr.ToyNIQE')


@pytest.fixture
def evaluator(niqe):
    """Measures three images: 'good' differs by 1, 2, 9 grey levels, 'bad' by 5."""
    gt = photographs(16).clamp(max=200)
    evaluator = FaceEvaluator([dict(type='mmagic.PSNR'), niqe])
    evaluator.process([
        sample(f'i{n}', gt[n], good=gt[n] + level, bad=gt[n] + 5)
        for n, level in enumerate((1, 2, 9))])
    evaluator.evaluate(3)
    return evaluator


@pytest.fixture
def protocol(evaluator):
    return build_protocol(
        evaluator.protocol(), dict(name='toy'), infos=evaluator.infos)


def row_of(evaluator, protocol, model):
    values = {}
    for row in evaluator.rows:
        if row['model'] == model:
            for column in evaluator.infos:
                values.setdefault(column, {})[row['name']] = row[column]
    return Row(Method(model), values=values, facts=dict(
        protocol=protocol, num_images=3, skipped=0))


def test_the_evaluator_passes_the_declaration_on(evaluator, protocol):
    assert evaluator.infos == dict(PSNR=MMAGIC['PSNR'], NIQE=NIQE)
    assert json.loads(json.dumps(protocol))['columns']['NIQE'] == dict(
        higher_is_better=False, digits=1, unit='points')
    assert column_infos(protocol, ['NIQE', 'PSNR']) == dict(
        NIQE=NIQE, PSNR=MMAGIC['PSNR'])


def test_the_table_has_the_declared_arrow_and_digits(evaluator, protocol, tmp_path):
    text = format_table(evaluator.models, protocol)
    assert text.splitlines()[0] == '| Model | PSNR ↑ | NIQE ↓ |'
    assert re.search(r'^\| good \| \d+\.\d\d \| 4\.0 \|$', text, re.M)
    assert 'columns' not in text and 'digits' not in text
    write_metrics(tmp_path / 'metrics.json', evaluator.models, protocol, 3, 0)
    read = json.loads((tmp_path / 'metrics.json').read_text())
    # A later process reads the file without the plugin.
    METRICS.module_dict.pop('ToyNIQE')
    assert format_table(read['models'], read['protocol']) == text


def test_the_benchmark_and_its_gallery_follow_the_declaration(
        evaluator, protocol, tmp_path, monkeypatch):
    monkeypatch.setattr(
        'fdsr.benchmark.benchmark_table.PAPER_COLUMNS', ('PSNR', 'NIQE'))
    rows = [row_of(evaluator, protocol, model) for model in ('good', 'bad')]
    table = BenchmarkTable(rows, reference='bad')
    text = table.markdown('Toys')
    assert '| Method | PSNR ↑ | NIQE ↓ |' in text
    assert '| Method | Δ PSNR ↑ | Δ NIQE ↓ | PSNR better on | NIQE better on |' in text
    assert re.search(r'^\| good \| .* \| -1\.0 \[-\d\.\d, \+\d\.\d\] \| 67% \| 67% \|$',
                     text, re.M)
    assert r'NIQE $\downarrow$' in table.latex()
    write_tables(table, 'Toys', tmp_path)
    for row in rows:
        write_json(tmp_path / 'rows' / f'{row.method.slug}.json',
                   dict(facts=row.facts))
    values = read_values(tmp_path / 'images.csv')
    assert choose_faces(values, ('good', 'bad'), 'NIQE') == ['i0', 'i1', 'i2']
    METRICS.module_dict.pop('ToyNIQE')
    info = stored_info(tmp_path, 'NIQE')
    assert info == NIQE
    assert choose_faces(values, ('good', 'bad'), 'NIQE', 1, info) == ['i1']
    higher = MetricInfo(higher_is_better=True, digits=1)
    assert choose_faces(values, ('good', 'bad'), 'NIQE', 3, higher) == [
        'i2', 'i1', 'i0']


def test_other_columns_of_the_benchmark_follow_it_too(evaluator, protocol):
    rows = [row_of(evaluator, protocol, 'good')]
    assert '| Method | NIQE ↓ |' in BenchmarkTable(rows).markdown('Toys')


def test_the_metric_of_the_docs_works_as_shown(registered):
    page = (REPOSITORY / 'docs' / 'plugins.md').read_text(encoding='utf-8')
    section = page.partition('### Metrics: `METRICS`')[2].partition('\n### ')[0]
    code, config = re.findall(r'^```python\n(.*?)^```$', section, re.M | re.S)
    names = {}
    exec(code, names)
    exec(config, names)
    metrics = names['test_evaluator']['metrics']
    evaluator = FaceEvaluator(metrics)
    gt = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    pred = gt.clone()
    pred[..., 2:] = 8  # one vertical edge: a step of 8 in one of three columns
    evaluator.process([sample('a', gt[0], student=pred[0])])
    assert evaluator.evaluate(1)['student/EdgeError'] == pytest.approx(8 / 3)
    protocol = build_protocol(evaluator.protocol(), {}, infos=evaluator.infos)
    text = format_table(evaluator.models, protocol)
    assert '| EdgeError ↓ |' in text and '| 2.667 |' in text
    assert '- EdgeError: metric EdgeError, colour_space RGB, border 0' in text
    assert metric_info('EdgeError-Y').digits == 3


@pytest.mark.parametrize('attributes, found', [
    (dict(), 'neither'), (dict(digits=2), "'digits': 2"),
    (dict(higher_is_better='no', digits=2), "'no'"),
    (dict(higher_is_better=True, digits=2.0), '2.0'),
    (dict(higher_is_better=True, digits=-1), '-1')])
def test_a_metric_without_the_declaration_is_an_error(attributes, found):
    kind = type('Silent', (PairMetric, ), dict(metric='PSNR', **attributes))
    with pytest.raises(TypeError, match='Silent: .*higher_is_better = False') as error:
        FaceEvaluator(kind())
    assert found in str(error.value)


def test_a_metric_without_a_name_is_an_error():
    kind = type('Nameless', (PairMetric, ), dict(higher_is_better=True, digits=1))
    with pytest.raises(TypeError, match='Nameless has no name. Add the class'):
        FaceEvaluator(kind())


def test_every_metric_of_the_project_declares_itself():
    assert [info_of(kind).higher_is_better for kind in (
        FID, LPIPS, IdentitySimilarity)] == [False, False, True]
    for kind in METRICS.module_dict.values():
        assert info_of(kind).digits >= 0 and kind.metric


@pytest.mark.parametrize('name', MMAGIC)
def test_mmagics_metrics_are_described_by_class(name):
    metric = METRICS.get(f'mmagic.{name}')
    assert metric.metric == name and info_of(metric) == MMAGIC[name]
    derived = type('Mine', (metric, ), {})
    assert info_of(derived) == MMAGIC[name]


@pytest.mark.parametrize('column, digits, arrow', [
    ('PSNR', 2, '↑'), ('PSNR-Y-crop8', 2, '↑'), ('SSIM-Y', 4, '↑'), ('LPIPS', 4, '↓'),
    ('LPIPS-vgg16', 4, '↓'), ('ID-dlib', 4, '↑'), ('ID-w600k-r50', 4, '↑'),
    ('FID', 2, '↓')])
def test_columns_of_older_files_are_found_by_name(column, digits, arrow):
    info = column_infos(dict(metrics={column: {}}), [column])[column]
    assert (info.digits, info.heading(column)) == (digits, f'{column} {arrow}')


@pytest.mark.parametrize('column', ['PSNRX', 'X-PSNR', 'Sharpness', ''])
def test_unknown_columns_are_an_error(column):
    with pytest.raises(ValueError, match='Register a metric class .*higher_is_better'):
        metric_info(column)


def test_the_longest_registered_name_counts(registered):
    @registered()
    class HigherLPIPS(PairMetric):
        metric, higher_is_better, digits = 'LPIPS-inverse', True, 1

    assert metric_info('LPIPS-inverse-Y').digits == 1
    assert metric_info('LPIPS-inversed').digits == 4


def test_numbers_are_formatted_as_declared():
    info = MetricInfo(higher_is_better=True, digits=2)
    estimate = importlib.import_module('fdsr.reporting.bootstrap').Estimate
    assert info.format(1.005, '+') == f'{1.005:+.2f}' and info.format(None) == '–'
    assert info.interval(estimate(1, 0.5, 1.5), '+') == '+1.00 [+0.50, +1.50]'
    assert info.interval(estimate(np.inf, np.nan, np.nan)) == 'inf'
