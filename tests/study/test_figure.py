"""The arms of a study side by side, on faces that the results choose."""

import pytest
from PIL import Image

from fdsr.registry import DATASETS
from fdsr.study.figure import draw_arms
from fdsr.study.jobs import Study
from fdsr.study.plan import read_plan
from fdsr.study.results import result_path, write_result
from tests.study.test_jobs import plan_path  # noqa: F401  a fixture


@pytest.fixture
def study(plan_path, tmp_path):  # noqa: F811
    plan = read_plan(plan_path)
    study = Study(plan, tmp_path / 'state')
    for job in ('dictionary', 'features', 'train:teacher:0', 'train:alone:0',
                'train:bicubic:0', 'teacher_features:teacher', 'train:distilled:0'):
        study.do(job, {}, lambda message: None)
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


def test_what_cannot_be_drawn_is_said(study, tmp_path):
    with pytest.raises(ValueError, match="The lists are val, test; found 'train'"):
        draw_arms(study, tmp_path / 'figure', {}, 'train')
    result_path(study.plan.results, 'alone', 0).unlink()
    with pytest.raises(ValueError, match='name the faces with --faces'):
        draw_arms(study, tmp_path / 'figure', {})
    for arm in ('teacher', 'distilled', 'bicubic'):
        result_path(study.plan.results, arm, 0).unlink()
    with pytest.raises(ValueError, match='No arm is finished'):
        draw_arms(study, tmp_path / 'figure', {}, names=['a'])
