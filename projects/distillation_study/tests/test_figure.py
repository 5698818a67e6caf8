"""The arms of a study side by side, on faces that the results choose."""

import functools
import io
import shutil

import pytest
from PIL import Image

from fdsr.registry import DATASETS
from projects.distillation_study.study.figure import draw_arms
from projects.distillation_study.study.results import result_path, write_result


@pytest.fixture
def study(finished, plan_path, tmp_path):
    """A study of which two runs are not done yet."""
    study = finished.copy_to(tmp_path)
    for run in ('warm-s0', 'alone-s1'):
        (study.state / f'networks/{run}.pth').unlink()
        for result in study.plan.results.glob(f'{run}*'):
            result.unlink()
    return study


@pytest.fixture
def names(study):
    """Three faces, on which the distilled arm is worst, best and in between."""
    config = study.config_of(study.plan.arms[0], 0, {})
    faces = DATASETS.build(config.val_dataloader.dataset)
    names = [faces.sample_name(number) for number in range(3)]
    for arm, values in {'alone': [0, 0, 0], 'distilled': [0.1, -0.1, 0]}.items():
        write_result(study.plan.results, arm, 0, [
            {'list': which, 'name': name, 'PSNR': 20, 'SSIM': 0.5,
             'LPIPS': 0.5 + sign * value, 'LPIPS-vgg16': 0.5, 'ID-dlib': 0.5}
            for which, sign in (('val', 1), ('test', -1))
            for name, value in zip(names, values)])
    return names


def width_of(path):
    return Image.open(path).size[0]


@pytest.mark.slow
def test_best_median_and_worst_face_of_every_finished_arm(study, names, tmp_path):
    chosen, files = draw_arms(study, tmp_path / 'figure', {})
    assert chosen == [names[1], names[2], names[0]]
    assert [file.suffix for file in files] == ['.png', '.pdf']
    # LR, alone, distilled, bicubic, the teacher, HR
    side = width_of(files[0]) / 6
    assert draw_arms(study, tmp_path / 'test', {}, 'test')[0] == chosen[::-1]
    assert draw_arms(study, tmp_path / 'one', {}, names=names[:1])[0] == names[:1]
    study.network(study.plan.arm('distilled'), 0).unlink()
    draw_arms(study, tmp_path / 'figure', {})
    assert width_of(files[0]) == pytest.approx(5 * side, abs=6)


def test_kept_images_replace_networks_that_no_longer_exist(
        study, names, tmp_path):
    keep, out = tmp_path / 'kept', tmp_path / 'figure'
    files = draw_arms(study, out, {}, names=names, keep=keep)[1]
    drawn = files[0].read_bytes()
    kept = {path.relative_to(keep).as_posix(): path for path in keep.rglob('*.png')}
    assert kept.keys() == {f'{run}/{name}.png' for name in names for run in (
        'alone-s0', 'distilled-s0', 'teacher-s0')}
    study.network(study.plan.arm('distilled'), 0).unlink()
    draw_arms(study, out, {}, names=names, keep=keep)
    assert files[0].read_bytes() == drawn
    # one of the faces is missing, so the arm cannot be shown
    kept[f'distilled-s0/{names[0]}.png'].unlink()
    draw_arms(study, out, {}, names=names, keep=keep)
    assert width_of(files[0]) < Image.open(io.BytesIO(drawn)).size[0]


def test_another_seed_is_shown_where_the_first_is_gone(study, names, tmp_path):
    arm = study.plan.arm('distilled')
    whole = width_of(draw_arms(study, tmp_path / 'all', {})[1][0])
    study.network(arm, 0).rename(study.network(arm, 1))
    draw = functools.partial(draw_arms, study, tmp_path / 'figure', {}, names=names)
    assert width_of(draw()[1][0]) < whole
    arm.seeds.append(1)
    shutil.copy(result_path(study.plan.results, 'distilled', 0),
                result_path(study.plan.results, 'distilled', 1))
    assert width_of(draw()[1][0]) == whole


def test_what_cannot_be_drawn_is_said(study, tmp_path):
    with pytest.raises(ValueError, match="The lists are val, test; found 'train'"):
        draw_arms(study, tmp_path / 'figure', {}, 'train')
    networks = study.state / 'networks'
    networks.rename(study.state / 'gone')
    result_path(study.plan.results, 'bicubic', 0).rename(tmp_path / 'bicubic.csv')
    with pytest.raises(ValueError, match='No network of a finished arm is in'):
        draw_arms(study, tmp_path / 'figure', {}, names=['a'])
    (tmp_path / 'bicubic.csv').rename(result_path(study.plan.results, 'bicubic', 0))
    result_path(study.plan.results, 'alone', 0).unlink()
    with pytest.raises(ValueError, match='name the faces with --faces'):
        draw_arms(study, tmp_path / 'figure', {})
    for arm in ('teacher', 'distilled', 'bicubic'):
        result_path(study.plan.results, arm, 0).unlink()
    with pytest.raises(ValueError, match='No arm is finished'):
        draw_arms(study, tmp_path / 'figure', {}, names=['a'])
