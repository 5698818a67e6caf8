"""A benchmark over several degradations: what is measured, and its one table."""

import io
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from fdsr.benchmark import degradation_tables_of, run_degradations
from fdsr.benchmark.degradations import degraded_config, test_lists
from fdsr.benchmark.gallery import Gallery, read_values
from fdsr.benchmark.methods import methods_of
from fdsr.engine.config import load_config
from fdsr.registry import DATASETS, TRANSFORMS
from tests import toy
from tests.benchmark.test_benchmark import call, measured, read_csv  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
test_lists.__test__ = False
NAMES = ['clean', 'JPEG 75', 'noise 10']


@pytest.fixture
def degraded_path(config_path):
    """The toy benchmark with three degradations and two lists of two faces."""
    config = Config.fromfile(config_path)
    to_lr = dict(type='fdsr.ResizeFace', side=toy.SIZE // toy.SCALE)
    degradations = {
        'clean': [], 'JPEG 75': [to_lr, dict(type='fdsr.CompressJPEG', quality=75)],
        'noise 10': [to_lr, dict(type='fdsr.AddNoise', sigma=10)]}
    dataset = config.test_dataloader.dataset
    config.test_dataloader.dataset = dict(
        type='fdsr.ConcatFaces', test_mode=True, pipeline=dataset.pipeline, datasets=[
            dict(type='fdsr.SyntheticFacesDataset', size=toy.SIZE, length=2,
                 first=first, test_mode=True, name=name)
            for name, first in (('one', 1000), ('two', 1100))])
    config.rows = [config.rows[0], *config.rows[3:]]
    config.test_evaluator.metrics = config.test_evaluator.metrics[:2]
    config.dump(config_path)
    with config_path.open('a') as file:  # dump would sort the names
        file.write(f'degradations = {degradations}\n')
    return config_path


def test_one_table_of_all(degraded_path, call, tmp_path, measured):  # noqa: F811
    printed = call('benchmark.py', degraded_path, '--out', 'out')
    assert measured == ['Bicubic', 'Student'] * 3
    text = (tmp_path / 'out/table.md').read_text()
    assert text in printed and text.startswith('# Toys')
    assert '| Method | clean | JPEG 75 | noise 10 |' in text
    assert '| Never trained | *no checkpoint at nowhere.pth' in text
    images = read_csv(tmp_path / 'out/images.csv')
    records = {(row['method'], row['degradation'], row['faces']): row
               for row in read_csv(tmp_path / 'out/table.csv')}
    assert len(images) == 3 * 2 * 4 and len(records) == 3 * 3 * 3
    means = {}
    for faces, start in (('all', 'd'), ('one', 'd00100'), ('two', 'd00110')):
        for method in ('Bicubic', 'Student'):
            means[method, faces] = [
                np.mean([float(row['PSNR']) for row in images
                         if (row['method'], row['degradation']) == (method, name)
                         and row['name'].startswith(start)]) for name in NAMES]
            for name, mean in zip(NAMES, means[method, faces]):
                record = records[method, name, faces]
                assert float(record['PSNR']) == pytest.approx(mean)
                assert record['images'] == ('4' if faces == 'all' else '2')
            cells = ' | '.join(f'{mean:.2f}' for mean in means[method, faces])
            assert f'| {method} | {cells} |' in text
        assert f'PSNR ↑, {faces} (2 images)' in text or faces == 'all'
    # degradations differ, and each is compared with the reference
    assert len(set(means['Bicubic', 'all'])) == 3
    assert '## Δ PSNR ↑ to Student, image by image' in text
    for name, bicubic, student in zip(
            NAMES, means['Bicubic', 'all'], means['Student', 'all']):
        assert float(records['Bicubic', name, 'all']['PSNR difference']
                     ) == pytest.approx(bicubic - student)
        assert f'| {bicubic - student:+.2f} [' in text
        assert f'- LR, {name}: degradation' in text
    assert text.count('## Cost') == 1
    assert records['Student', 'clean', 'all']['trained']
    assert not records['Student', 'noise 10', 'all']['trained']
    latex = (tmp_path / 'out/table.tex').read_text()
    # PSNR of all, of each list, SSIM, two differences, costs
    assert latex.count(r'\begin{tabular}') == 7
    with pytest.raises(ValueError, match='several degradations'):
        read_values(tmp_path / 'out/images.csv')


def test_only_what_changed_is_measured(degraded_path, tmp_path, measured):  # noqa: F811
    config = load_config(degraded_path, work_dir=str(tmp_path / 'run'))
    config.rows, config.reference, seen = config.rows[:1], None, []
    first = run_degradations(config, tmp_path / 'out',
                             lambda results: seen.append([*results]))
    assert seen == [NAMES[:1], NAMES[:2], NAMES]
    measured.clear()
    config.degradations['noise 10'][1].sigma = 20
    again = run_degradations(config, tmp_path / 'out')
    assert measured == ['Bicubic']
    for name in NAMES:
        same = again[name][0].values == first[name][0].values
        assert same == (name != 'noise 10')
    worse = [np.mean([*results['noise 10'][0].values['PSNR'].values()])
             for results in (again, first)]
    assert worse[0] < worse[1]


def test_a_row_that_fails_on_one_degradation_is_reported(degraded_path, tmp_path):
    config = load_config(degraded_path, work_dir=str(tmp_path / 'run'))
    config.rows, config.reference, config.profile = config.rows[:1], None, False
    results = run_degradations(config, tmp_path / 'out')
    row = results['JPEG 75'][0]
    row.problem, row.failed, row.values = 'out of memory', True, {}
    table, title = degradation_tables_of(config, results)
    text = table.markdown(title)
    cells = next(line for line in text.splitlines() if line.startswith('| Bicubic |'))
    assert cells.split(' | ')[2] == '–'
    assert '- Bicubic, JPEG 75: out of memory' in text


def test_the_degradation_is_applied_to_lr(degraded_path, tmp_path):
    config = load_config(degraded_path, work_dir=str(tmp_path / 'run'))
    samples = {name: DATASETS.build(degraded_config(
        config, name).test_dataloader.dataset)[0] for name in NAMES}
    plain = DATASETS.build(config.test_dataloader.dataset)[0]
    clean = samples['clean']['inputs']
    assert (clean == plain['inputs']).all()
    file = io.BytesIO()
    lr = clean.permute(1, 2, 0).numpy()
    Image.fromarray(lr).save(file, 'JPEG', quality=75)
    expected = np.asarray(Image.open(file), np.float32)
    found = samples['JPEG 75']['inputs'].permute(1, 2, 0).numpy()
    # bicubic is rounded once here, and twice by PIL
    assert np.abs(found - expected).mean() < 2 < np.abs(found - lr.astype(float)).mean()
    noise = samples['noise 10']['inputs'].float() - clean.float()
    assert 7 < float(noise.std()) < 13
    again = DATASETS.build(degraded_config(
        config, 'noise 10').test_dataloader.dataset)[0]
    assert (again['inputs'] == samples['noise 10']['inputs']).all()


def test_skin_tones_are_groups_of_all_faces(degraded_path, tmp_path):
    config = load_config(degraded_path, work_dir=str(tmp_path / 'run'))
    lists = test_lists(config)
    config.skin_tones = True
    groups = test_lists(config)
    assert [*groups][:2] == [*lists] and len(groups) > 3
    tones = [name for group in [*groups][2:] for name in groups[group]]
    assert sorted(tones) == sorted(sum(lists.values(), []))


def test_lists_and_pipelines_are_checked(degraded_path, tmp_path):
    config = load_config(degraded_path, work_dir=str(tmp_path / 'run'))
    assert [*test_lists(config)] == ['one', 'two']
    other = config.copy()
    other.test_dataloader.dataset.datasets[1].name = 'one'
    with pytest.raises(ValueError, match='different names'):
        test_lists(other)
    config.test_dataloader.dataset.pipeline.pop(1)
    with pytest.raises(ValueError, match='one step of DownsampleToLR.*found 0'):
        degraded_config(config, 'clean')


def test_the_students_table():
    config = Config.fromfile(ROOT / 'configs/benchmark/robust.py')
    assert [method.name for method in methods_of(config)] == [
        'Bicubic', 'compact', 'tiny', 'small', 'base']
    assert Path(ROOT, methods_of(config)[1].checkpoint).is_file()
    lists = config.test_dataloader.dataset.datasets
    assert [(one.name, one.data_root, one.split) for one in lists] == [
        (name, f'data/{name}', 'test') for name in ('faces_public', 'faces_open')]
    assert [*config.degradations] == [
        'clean', 'JPEG 90', 'JPEG 75', 'JPEG 50', 'noise 5', 'noise 10',
        'blur 0.8, noise 3, JPEG 70']
    hr = np.random.RandomState(0).randint(0, 256, (256, 256, 3)).astype(np.uint8)
    for name in config.degradations:
        step = degraded_config(config, name).test_dataloader.dataset.pipeline[1]
        degradation = TRANSFORMS.build(step)
        assert degradation.seed == 0
        side = 256 if name == 'clean' else 32
        assert degradation.degrade(hr, np.random.RandomState(0)).shape[0] == side


def test_a_figure_shows_each_face_with_each_degradation(degraded_path, tmp_path):
    config = load_config(degraded_path, work_dir=str(tmp_path / 'run'))
    gallery = Gallery(config, ['Bicubic'])
    names = ['d001000/0000', 'd001100/0000']
    faces = gallery.degraded_faces(names, ['clean', 'noise 10'])
    assert [face.captions['LR'] for face in faces] == ['clean', 'noise 10'] * 2
    clean, noisy, other, _ = (face.images for face in faces)
    assert np.array_equal(clean['HR'], noisy['HR'])
    assert not np.array_equal(clean['HR'], other['HR'])
    noise = noisy['LR'].astype(float) - clean['LR']
    assert 5 < noise.std() < 12  # clipped at 0 and 255
    with pytest.raises(ValueError, match="'fog' is not one of the degradations of .*: "
                                         'clean, JPEG 75, noise 10'):
        gallery.degraded_faces(names, ['fog'])
