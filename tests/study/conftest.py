"""The results of a simulated study."""

import pytest

from fdsr.study.results import read_results
from tests.study.simulation import write_study


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('results')
    write_study(folder)
    return folder


@pytest.fixture(scope='module')
def results(folder):
    return read_results(folder)
