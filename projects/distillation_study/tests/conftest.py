"""A simulated study's results, and a study of toys."""

import pytest

from projects.distillation_study.study.jobs import Study
from projects.distillation_study.study.plan import read_plan
from projects.distillation_study.study.results import read_results
from projects.distillation_study.tests.simulation import write_study
from projects.distillation_study.tests.toys import Finished, run_test, write_plan
from tests.conftest import registered, repeated_work, seeded  # noqa: F401  fixtures


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('results')
    write_study(folder)
    return folder


@pytest.fixture(scope='module')
def results(folder):
    return read_results(folder)


@pytest.fixture
def plan_path(tmp_path, monkeypatch):
    monkeypatch.setattr('fdsr.evaluation.testing.run_test', run_test)
    return write_plan(tmp_path)


@pytest.fixture(scope='session')
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp('study')
    study = Study(read_plan(write_plan(folder)), folder / 'state')
    first, done = list(study.pending()), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('fdsr.evaluation.testing.run_test', run_test)
        while not study.is_done():
            job = next(study.pending())
            study.do(job, {}, lambda message: None)
            done.append(job)
    return Finished(folder, first, done)
