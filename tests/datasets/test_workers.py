"""Several processes: in order, with their errors, and never left behind."""

import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from fdsr.datasets import workers
from fdsr.datasets.workers import in_processes


def slowest_first(item):
    if item == 'fail':
        raise ValueError('there is no such thing')
    if item == 'die':
        os._exit(3)
    time.sleep(0.2 if item == 0 else 0)
    return item, os.getpid()


def test_results_are_in_order_and_of_other_processes():
    found = list(in_processes(slowest_first, list(range(40)), 2))
    assert [item for item, _ in found] == list(range(40))
    assert os.getpid() not in {process for _, process in found}


def test_an_error_and_a_death_reach_the_caller():
    with pytest.raises(ValueError, match='^there is no such thing$'):
        list(in_processes(slowest_first, [1, 'fail'], 1))
    with pytest.raises(RuntimeError, match='A worker died.*fewer workers'):
        list(in_processes(slowest_first, [1, 'die'], 1))


def test_closing_ends_the_processes():
    results = in_processes(slowest_first, [1, 2, *[0] * 500], 1)
    _, process = next(results)
    begin = time.monotonic()
    results.close()
    assert time.monotonic() - begin < 5
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_ctrl_c_while_items_are_handed_out_is_not_lost(monkeypatch):
    def interrupted(executor, function, *arguments):
        if function is workers._call:
            os.kill(os.getpid(), signal.SIGINT)
        return submit(executor, function, *arguments)

    submit = ProcessPoolExecutor.submit
    monkeypatch.setattr(ProcessPoolExecutor, 'submit', interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(in_processes(abs, range(3), 1))
