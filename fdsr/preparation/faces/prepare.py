"""Preparation of faces, from images to manifests."""
from __future__ import annotations

import contextlib
import functools
import json
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator

from filelock import FileLock, Timeout

from fdsr.datasets.vggface2_files import find_files
from fdsr.preparation.executor import Executor
from fdsr.preparation.faces.finish import DONE, finish
from fdsr.preparation.faces.plan import Plan, make_plan
from fdsr.preparation.faces.settings import Settings
from fdsr.preparation.faces.sources import open_source
from fdsr.preparation.faces.units import WORK, Job, write_unit
from fdsr.utils.files import write_bytes


class Stopped(RuntimeError):
    """Raised when a preparation is interrupted; the message explains how to resume."""


def prepare(settings: Settings, out: str | Path,
            executor: Executor | None = None,
            progress: Callable[[int, int], None] | None = None
            ) -> dict[str, Any]:
    """Prepares faces, or resumes a preparation.

    Shards are written atomically. A run that was interrupted, e.g. by Ctrl-C or a full
    disk, resumes with the missing shards. The result depends neither on the executor
    nor on interruptions.

    Args:
        settings: Settings of the preparation.
        out: Output folder, new or from a run with the same settings.
        executor: Runs the shards; default: this process.
        progress: Called with the number of processed images and their total.

    Returns:
        The summary, as in ``prepared.json``.

    Raises:
        FileNotFoundError: An input is missing.
        ValueError: A CSV is malformed, an argument is out of range, no face remains, or
            the folder contains other files.
        Stopped: The disk is full, or another run writes to the folder.
        RuntimeError: A process died, or the cluster cannot be used.
    """
    out = Path(out)
    request = settings.request()
    if settings.landmarks is None:
        files = find_files(settings.data_root, settings.listing)
        request['files'] = [list(stamp) for stamp in files.stamps()]
    done = _begin(out, request)
    if done is not None:
        return done
    with _locked(out / WORK), _explained(out):
        try:
            index, images = open_source(settings, out / WORK)
            plan = make_plan(index, settings, out / WORK)
        except (ValueError, FileNotFoundError):
            # the request is removed, because fixing the input changes it
            if not any(path.name != WORK for path in out.iterdir()):
                shutil.rmtree(out / WORK, ignore_errors=True)
            raise
        job = Job(settings, out, index.folder, images)
        _run(job, plan, executor or Executor(), progress or (lambda done, total: None))
        summary = finish(job, plan, request)
    shutil.rmtree(out / WORK, ignore_errors=True)
    return summary


def _begin(out: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """Creates or checks the folder; returns the summary of a finished preparation."""
    for file in (out / DONE, out / WORK / 'request.json'):
        if not file.exists():
            continue
        found = json.loads(file.read_text(encoding='utf-8'))
        changed = [f'{key} was {found["request"].get(key)!r}, is {request.get(key)!r}'
                   for key in sorted({*found['request'], *request})
                   if found['request'].get(key) != request.get(key)]
        if changed:
            raise ValueError(f'{out} was started with other settings or data: '
                             f'{"; ".join(changed)}. Pass another folder, or remove '
                             'this one.')
        if file.name == DONE:
            shutil.rmtree(out / WORK, ignore_errors=True)
            return found
        return None
    if out.exists() and not out.is_dir():
        raise ValueError(f'{out} is a file: pass a folder.')
    if out.exists() and any(path.name != WORK for path in out.iterdir()):
        raise ValueError(f'{out} is neither empty nor an unfinished preparation: pass '
                         'a new folder.')
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
        write_bytes(out / WORK / 'request.json',
                    json.dumps({'request': request}).encode())
    except OSError as error:
        raise Stopped(f'{out} cannot be written ({error}). Pass another folder, or '
                      'free disk space.') from error
    return None


@contextlib.contextmanager
def _locked(work: Path) -> Iterator[None]:
    try:
        lock = FileLock(work / 'lock').acquire(timeout=0)
    except Timeout as error:
        raise Stopped(f'Another run is writing to {work.parent}: wait for it, '
                      'or pass another folder.') from error
    with lock:
        yield


@contextlib.contextmanager
def _explained(out: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Stopped(f'{out} cannot be written ({error}). Free disk space and run the '
                      'same command again; finished shards are kept.') from error


def _run(job: Job, plan: Plan, executor: Executor,
         progress: Callable[[int, int], None]) -> None:
    """Processes the missing units."""
    for leftover in job.work.glob('*.part'):
        shutil.rmtree(leftover, ignore_errors=True)
    missing = [unit for unit in plan.units if not job.records(unit).exists()]
    total = plan.units[-1].last
    done = total - sum(unit.last - unit.first for unit in missing)
    progress(done, total)
    written = executor.map(functools.partial(write_unit, job), missing)
    # closing stops the workers; unfinished units leave only temporary folders
    with contextlib.closing(written):
        for unit, _ in zip(missing, written):
            done += unit.last - unit.first
            progress(done, total)
