"""Results and their protocol in tables and files."""

import csv
import json
import os
import stat

import pytest
import torch

from fdsr.evaluation.protocol import (
    build_protocol,
    format_table,
    write_metrics,
    write_rows,
)
from fdsr.utils.hardware import hardware

MODELS = {
    'bicubic': {'PSNR': 21.888, 'SSIM': 0.5, 'LPIPS': 0.45651},
    'student': {'PSNR': 25.594, 'SSIM': 0.71234, 'LPIPS': 0.094},
}


@pytest.fixture
def protocol():
    return build_protocol(
        metrics={
            'PSNR': dict(metric='PSNR', border=0, colour_space='RGB'),
            'LPIPS': dict(metric='LPIPS', net='alex', version='0.1')},
        dataset=dict(name='drawn faces', kept=8, of=9, split='test'))


def test_hardware_names_cpu_cores_and_versions():
    facts = hardware()
    assert facts['cpu'] and facts['cores'] >= 1
    assert facts['torch'] == torch.__version__


def test_the_protocol_holds_what_a_number_needs(protocol):
    assert json.loads(json.dumps(protocol)) == protocol
    assert protocol['colour_space'] == 'RGB' and protocol['border'] == 0
    assert 'uint8' in protocol['rounding']
    assert 'anti-aliased' in protocol['resize_kernel']


def test_the_table_has_a_row_a_model_and_a_line_a_fact(protocol):
    lines = format_table(MODELS, protocol, num_images=8, skipped=1).splitlines()
    assert lines[0] == '| Model | PSNR ↑ | SSIM ↑ | LPIPS ↓ |'
    assert lines[1] == '|---|---:|---:|---:|'
    assert lines[2] == '| bicubic | 21.89 | 0.5000 | 0.4565 |'
    assert lines[3] == '| student | 25.59 | 0.7123 | 0.0940 |'
    assert '- images: 8, skipped: 1' in lines
    assert '- LPIPS: metric LPIPS, net alex, version 0.1' in lines
    assert any(line.startswith('- hardware: cpu ') for line in lines)
    assert '- dataset: name drawn faces, kept 8, of 9, split test' in lines


def test_a_column_that_a_model_lacks_is_a_dash(protocol):
    table = format_table({'a': {'PSNR': 1.}, 'b': {'SSIM': 1.}}, protocol)
    assert '| a | 1.00 | – |' in table and '| b | – | 1.0000 |' in table


def test_metrics_json_has_the_agreed_keys(tmp_path, protocol):
    path = tmp_path / 'new' / 'metrics.json'
    write_metrics(path, MODELS, protocol, num_images=8, skipped=1)
    content = json.loads(path.read_text())
    assert list(content) == ['protocol', 'num_images', 'skipped', 'models']
    assert content['models'] == MODELS
    assert content['num_images'] == 8 and content['skipped'] == 1
    assert os.listdir(path.parent) == ['metrics.json']
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR


def test_infinity_is_written_as_valid_json(tmp_path, protocol):
    path = tmp_path / 'metrics.json'
    write_metrics(path, {'a': {'PSNR': float('inf')}}, protocol, 1, 0)
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content['models']['a']['PSNR'] == 'inf'


def test_a_failed_write_leaves_the_old_file(tmp_path, protocol, monkeypatch):
    path = tmp_path / 'metrics.json'
    path.write_text('old')
    monkeypatch.setattr('fdsr.utils.files.os.replace', None)
    with pytest.raises(TypeError):
        write_metrics(path, MODELS, protocol, 8, 0)
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['metrics.json']


def test_a_folder_that_cannot_be_made_is_named(tmp_path, protocol):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='choose a folder'):
        write_metrics(tmp_path / 'file' / 'metrics.json', MODELS, protocol, 8, 0)


def test_rows_are_a_csv(tmp_path):
    path = tmp_path / 'per_image.csv'
    rows = [dict(name='n1/0', model='student', PSNR=25.5, SSIM=0.5),
            dict(name='n1/0', model='teacher', PSNR=26.5, SSIM=0.6)]
    write_rows(path, rows)
    with open(path, newline='') as file:
        assert list(csv.DictReader(file)) == [
            {key: str(value) for key, value in row.items()} for row in rows]


def test_no_rows_is_an_error(tmp_path):
    with pytest.raises(ValueError, match='Evaluate first'):
        write_rows(tmp_path / 'x.csv', [])
