"""The benchmark: measured, reused, missing and compared rows, and written tables."""

import csv
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fdsr.benchmark import running, set_checkpoints, tables_of, write_tables
from fdsr.benchmark.benchmark_table import BenchmarkTable
from fdsr.benchmark.methods import methods_of, network_config
from fdsr.benchmark.running import run_benchmark
from fdsr.engine.config import load_config
from fdsr.models.files.checkpoints import save_backbone
from fdsr.registry import MODELS
from tests import toy
from tests.datasets.conftest import ToyRoot

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Calls a tool in this process and returns what it printed."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    monkeypatch.chdir(tmp_path)

    def run(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        return capsys.readouterr().out

    return run


@pytest.fixture
def measured(monkeypatch):
    """Names of the methods that were measured, in order."""
    names, measure = [], running._measure
    monkeypatch.setattr(
        running, '_measure',
        lambda method, *rest: names.append(method.name) or measure(method, *rest))
    return names


def read_csv(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def test_the_whole_way(config_path, call, tmp_path, measured):
    printed = call('benchmark.py', config_path, '--out', 'out')
    assert measured == ['Bicubic', 'Teacher', 'Teacher, found', 'Student']
    table = (tmp_path / 'out/table.md').read_text()
    assert table in printed and table.startswith('# Toys')
    assert ('| Never trained | *no checkpoint at nowhere.pth (made by tools/train.py '
            'bicubic.py)* |  |') in table
    assert '--checkpoint NAME=PATH' in table
    # the note reports how often the template's boxes were used
    assert 'no face detected, template boxes used: 3 of 3' in table
    # each number is the mean of the values of the images
    images = read_csv(tmp_path / 'out/images.csv')
    records = {row['method']: row for row in read_csv(tmp_path / 'out/table.csv')}
    assert len(images) == 4 * 3 and len(records) == 5
    for method in measured:
        values = [float(row['PSNR']) for row in images if row['method'] == method]
        record = records[method]
        assert float(record['PSNR']) == pytest.approx(np.mean(values))
        assert float(record['PSNR low']) <= np.mean(values) <= float(
            record['PSNR high'])
        assert f'| {method} | {np.mean(values):.2f} [' in table
    student = {row['name']: float(row['PSNR']) for row in images
               if row['method'] == 'Student'}
    differences = [float(row['PSNR']) - student[row['name']] for row in images
                   if row['method'] == 'Bicubic']
    assert float(records['Bicubic']['PSNR difference']) == pytest.approx(
        np.mean(differences))
    assert f'| Bicubic | {np.mean(differences):+.2f} [' in table
    assert int(records['Student']['trained']) > 0
    assert records['Never trained']['PSNR'] == ''
    latex = (tmp_path / 'out/table.tex').read_text()
    assert latex.count(r'\begin{tabular}') == 4  # metrics, others, differences, costs
    assert r'\multicolumn{2}{l}{\emph{no checkpoint at nowhere.pth' in latex


@pytest.mark.slow
def test_a_finished_row_is_not_repeated(config_path, tmp_path, measured, checkpoints):
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    config.rows.pop(1)  # the teacher with HR's landmarks
    config.profile.batch_sizes = [1]
    first = run_benchmark(config, tmp_path / 'out')
    measured.clear()
    again = run_benchmark(config, tmp_path / 'out')
    assert measured == []
    assert [row.values for row in again] == [row.values for row in first]
    assert [row.facts for row in again] == json.loads(
        json.dumps([row.facts for row in first]))
    # another checkpoint: the row is measured again
    other = tmp_path / 'other.pth'
    toy.train(toy.restorer_config(tmp_path / 'other', train_cfg__max_iters=3,
                                  randomness__seed=7))
    other.write_bytes((tmp_path / 'other/iter_3.pth').read_bytes())
    set_checkpoints(config, [f'Student={other}'])
    changed = run_benchmark(config, tmp_path / 'out')
    assert measured == ['Student']
    assert changed[2].values != first[2].values
    # an incomplete row
    measured.clear()
    (tmp_path / 'out/rows' / f'{methods_of(config)[0].slug}.json').unlink()
    run_benchmark(config, tmp_path / 'out')
    assert measured == ['Bicubic']
    # other profile settings: the images are not measured again
    measured.clear()
    config.profile.batch_sizes = [3]
    rows = run_benchmark(config, tmp_path / 'out')
    assert measured == []
    assert all(row.facts['profile']['latencies'][0]['batch_size'] == 3
               for row in rows if not row.problem)
    config.test_evaluator.metrics.pop()
    run_benchmark(config, tmp_path / 'out')
    assert measured == ['Bicubic', 'Teacher, found', 'Student']


@pytest.mark.parametrize('change, problem', [
    (dict(checkpoint='other_scale.pth'), 'Check the scale'),
    (dict(landmarks=dict(type='fdsr.NothingFound')), 'does not use boxes'),
    (dict(member='nobody'), "no backbone 'nobody'")])
def test_a_row_that_cannot_be_measured_does_not_stop_the_others(
        change, problem, config_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = dict(toy.STUDENT, scale=2)
    save_backbone(MODELS.build(generator), generator, tmp_path / 'other_scale.pth')
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    config.rows[3].update(change)
    config.rows = [config.rows[number] for number in (0, 3, 4)]
    seen = []
    rows = run_benchmark(config, tmp_path / 'out', lambda rows: seen.append(len(rows)))
    assert seen == [1, 2, 3]  # tables can be written after each
    assert [row.failed for row in rows] == [False, True, False]
    assert problem in rows[1].problem
    text = tables_of(config, rows)[0].markdown('T')
    assert 'no differences: Student was not measured' in text


def test_nothing_but_problems_is_still_a_table(config_path, tmp_path):
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    config.rows, config.reference = config.rows[4:], None
    rows = run_benchmark(config, tmp_path / 'out')
    written = write_tables(*tables_of(config, rows), tmp_path / 'out')
    assert '| Method | PSNR ↑ |' in written['markdown'].read_text()
    assert r'\multicolumn{3}{l}' in written['latex'].read_text()
    assert 'images' not in written


def test_names_may_be_anything(config_path, tmp_path):
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    config.rows, config.reference = config.rows[:1], None
    for name in ('v1.0 | $5_%', 'values'):
        config.rows[0].name = name
        rows = run_benchmark(config, tmp_path / 'out')
        assert rows[0].values['PSNR'] and not rows[0].problem
    config.rows[0].name = 'v1.0 | $5_%'
    table, title = tables_of(config, run_benchmark(config, tmp_path / 'out'))
    assert r'| v1.0 \| $5_% | ' in table.markdown(title)
    assert r'v1.0 \textbar{} \$5\_\%' in table.latex()


def test_other_faces_are_measured_again(tmp_path, config_path, measured):
    """The names and counts are the same, but one image differs."""
    root = ToyRoot(tmp_path / 'faces', 'test', 3, 1)
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    pipeline = config.test_dataloader.dataset.pipeline
    config.test_dataloader.dataset = dict(
        type='fdsr.VGGFace2Dataset', data_root=str(root.root), split='test',
        size=toy.SIZE, pipeline=pipeline, test_mode=True,
        report_dir=str(tmp_path / 'run'))
    config.rows, config.reference = config.rows[:1], None
    run_benchmark(config, tmp_path / 'out')
    run_benchmark(config, tmp_path / 'out')
    assert measured == ['Bicubic']
    picture = next((root.root / 'test').rglob('*.jpg'))
    image = Image.open(picture).transpose(Image.FLIP_TOP_BOTTOM)
    image.save(picture)
    run_benchmark(config, tmp_path / 'out')
    assert measured == ['Bicubic', 'Bicubic']


def test_a_partially_written_row_is_ignored(config_path, tmp_path, monkeypatch):
    """New values must not be combined with an old description."""
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    config.rows, config.reference = config.rows[:1], None
    run_benchmark(config, tmp_path / 'out')
    [stored] = (tmp_path / 'out/rows').iterdir()
    before = stored.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('fdsr.utils.files.os.fsync', stop)
    config.test_evaluator.metrics.pop()
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(config, tmp_path / 'out')
    assert list((tmp_path / 'out/rows').iterdir()) == [stored]
    assert stored.read_bytes() == before


def test_measured_numbers_survive_a_profile_that_fails(config_path, tmp_path, measured,
                                                       monkeypatch):
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    config.rows, config.reference = config.rows[:1], None

    def fail(*_, **__):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(running, 'profile_backbone', fail)
    assert 'out of memory' in run_benchmark(config, tmp_path / 'out')[0].problem
    config.profile = False
    row = run_benchmark(config, tmp_path / 'out')[0]
    assert measured == ['Bicubic'] and row.values and row.facts['profile'] is None
    assert '## Cost' not in tables_of(config, [row])[0].markdown('T')


def test_a_broken_checkpoint_does_not_stop_the_other_rows(config_path, call, tmp_path):
    (tmp_path / 'broken.pth').write_bytes(b'nothing')
    with pytest.raises(SystemExit) as stopped:
        call('benchmark.py', config_path, '--out', 'out', '--checkpoint',
             'Student=broken.pth')
    assert stopped.value.code == 1
    records = {row['method']: row for row in read_csv(tmp_path / 'out/table.csv')}
    assert 'broken.pth' in records['Student']['problem']
    assert float(records['Teacher']['PSNR']) > 0


def test_detected_landmarks_are_used(config_path, checkpoints):
    """Landmarks detected at HR's positions give the same results as HR's."""
    from fdsr.datasets import SyntheticFacesDataset
    from fdsr.landmarks import FaceLandmarks
    from fdsr.models.backbones.detected_boxes import DetectedBoxes
    from fdsr.models.restorers.face_tester import build_network
    from fdsr.registry import LANDMARKS

    dataset = SyntheticFacesDataset(size=toy.SIZE, length=3, first=1000)
    faces = [dataset[index] for index in range(2)]

    @LANDMARKS.register_module(force=True)
    class FixedLandmarks:
        def detect(self, images):
            assert all(image.shape == (toy.SIZE, toy.SIZE, 3) for image in images)
            return [FaceLandmarks(face['landmarks']) for face in faces] + [None]

    network = build_network(dict(
        checkpoint=str(checkpoints['teacher']),
        landmarks=dict(type='fdsr.FixedLandmarks')))
    assert isinstance(network, DetectedBoxes)
    lr = torch.rand(3, 3, toy.SIZE // toy.SCALE, toy.SIZE // toy.SCALE)
    boxes = np.stack([FaceLandmarks(face['landmarks']).component_boxes(toy.SIZE)
                      for face in faces] + [network.template()])
    with torch.no_grad():
        expected = network.network(lr, torch.from_numpy(boxes))
        assert torch.equal(network(lr), expected)
    assert (network.num_seen, network.num_not_found) == (3, 1)
    assert '1 of 3' in network.caption()


def test_the_papers_numbers_stand_beside_its_own_setting_only(config_path, tmp_path):
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    config.rows = config.rows[1:2]
    config.reference = None
    rows = run_benchmark(config, tmp_path / 'out')
    for wanted, shown in ((dict(size=toy.SIZE, scale=toy.SCALE), True),
                          (dict(size=256, scale=8), False), (None, False)):
        config.paper_setting = wanted
        table, title = tables_of(config, rows)
        text = table.markdown(title)
        assert ('26.74' in text) == shown
        assert ('PSNR ↑, paper' in text) == shown
        if wanted and not shown:
            assert 'left out' in text and f'size is {toy.SIZE}' in text


def test_configs_are_checked(config_path, tmp_path):
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    for change, message in (
            (dict(reference='Nobody'), "reference='Nobody'"),
            (dict(rows=[]), 'found none'),
            (dict(rows=[dict(name='A', config='a.py'), dict(name='A', config='a.py')]),
             'different names'),
            (dict(rows=[dict(name='A')]), 'A needs a checkpoint'),
            (dict(rows=[dict(name='A', config='a.py', member='b')]),
             'or only the config'),
            (dict(rows=[dict(name='LR', config='a.py')]), 'LR and HR are reserved'),
            (dict(rows=[dict(name='A', chekpoint='a.pth')]), 'chekpoint')):
        other = config.copy()
        for key, value in change.items():
            other[key] = value
        with pytest.raises(ValueError, match=message):
            methods_of(other)
    with pytest.raises(ValueError, match='NAME=PATH'):
        set_checkpoints(config, ['Nobody=a.pth'])


def test_the_small_students_table(tmp_path):
    config = load_config(ROOT / 'configs/benchmark/compact.py', work_dir=str(tmp_path))
    assert [method.name for method in methods_of(config)] == config.figure_methods
    made = load_config(ROOT / 'configs/compact/distill.py', work_dir=str(tmp_path))
    dataset = dict(config.test_dataloader.dataset)
    assert dataset.pop('subset') is None  # the whole list
    assert dataset == made.test_dataloader.dataset


@pytest.mark.parametrize('name', ['table1', 'table1_reduced'])
def test_the_projects_own_tables(name, tmp_path):
    config = load_config(ROOT / f'configs/benchmark/{name}.py', work_dir=str(tmp_path))
    methods = methods_of(config)
    recipe = "Student, the paper's recipe"
    assert [method.name for method in methods] == [
        'Bicubic', 'RCAN', 'SRFBN', 'Teacher', 'Teacher, landmarks found on LR',
        'S w/o KD', recipe, 'Student', 'Progressive FSR (addition)']
    network = network_config(methods[0], config)
    assert network == dict(type='fdsr.Bicubic', scale=8)
    assert {name for name in config.figure_methods} < {m.name for m in methods}
    size = 256 if name == 'table1' else 128
    assert config.test_dataloader.dataset.size == size
    papers = {m.name: m.paper.get('PSNR') for m in methods if m.paper}
    assert papers == ({} if name == 'table1_reduced' else {
        'RCAN': 26.59, 'SRFBN': 26.399, 'Teacher': 26.74, 'S w/o KD': 25.837,
        recipe: 26.623})


def test_a_network_that_only_training_uses_has_a_row_of_costs(
        config_path, tmp_path, checkpoints):
    config = load_config(config_path, work_dir=str(tmp_path / 'run'))
    config.rows = [dict(name='Addition', checkpoint=str(checkpoints['student']),
                        training_network=str(tmp_path / 'landmarks.pth'),
                        note='not in the paper')]
    config.reference, config.profile.batch_sizes = None, [1]
    rows = run_benchmark(config, tmp_path / 'out')
    notes = BenchmarkTable(rows).notes()
    assert '- Addition: not in the paper' in notes
    assert any('the training network of Addition was not measured: no file at' in note
               for note in notes)
    network = dict(type='fdsr.HeatmapNet', size=32, channels=4, depth=1)
    save_backbone(MODELS.build(network), network, tmp_path / 'landmarks.pth')
    # the stored row gets the new cost
    table = BenchmarkTable(run_benchmark(config, tmp_path / 'out'))
    header, cells = table.cost()
    assert [row[0] for row in cells] == [
        'Addition', 'Addition: landmark network, in training only']
    assert all(len(row) == len(header) for row in cells)
    assert float(cells[1][header.index('ms per image, batch 1')]) > 0
    assert table.records()[0]['training trained'] == sum(
        value.numel() for value in MODELS.build(network).parameters())
    assert not any('was not measured' in note for note in table.notes())
