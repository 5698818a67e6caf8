"""The results of a simulated study."""

import pytest

from projects.distillation_study.study.results import read_results
from projects.distillation_study.tests.simulation import write_study
from tests.conftest import registered, seeded  # noqa: F401  fixtures


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('results')
    write_study(folder)
    return folder


@pytest.fixture(scope='module')
def results(folder):
    return read_results(folder)
