"""The preparation of faces, from the first image to the manifests."""
from __future__ import annotations

import contextlib
import functools
import json
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator

from filelock import FileLock, Timeout

from fdsr.datasets.workers import in_processes
from fdsr.preparation.faces.finish import DONE, finish
from fdsr.preparation.faces.plan import Plan, make_plan
from fdsr.preparation.faces.settings import Settings
from fdsr.preparation.faces.sources import open_source
from fdsr.preparation.faces.units import WORK, Job, write_unit
from fdsr.utils.files import write_bytes

_AGAIN = 'The finished shards are kept: run the same command again to go on.'


class Stopped(RuntimeError):
    """A preparation that could not go on, and how to go on."""


def prepare(settings: Settings, out: str | Path, workers: int = 0,
            progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Prepare faces, or go on with it.

    Each shard appears when it is whole, so a run that was stopped, by Ctrl-C, a full
    disk or the machine, goes on with the shards that are missing. The result does not
    depend on ``workers``, nor on how often it was stopped.

    Args:
        settings: What is asked.
        out: Folder of the result, new or begun with the same settings.
        workers: Processes beside this one; 0 does all in this one.
        progress: Called with the images looked at and their total.

    Returns:
        The summary, as ``prepared.json`` holds it.

    Raises:
        FileNotFoundError: Something that is to be read is missing.
        ValueError: A CSV or an argument is impossible, no face is left, or the folder
            holds something else.
        Stopped: The disk is full, or another run is at it.
        RuntimeError: A process was killed.
    """
    out = Path(out)
    request = settings.request()
    if settings.landmarks is None:
        request['files'] = _stamps(settings)
    done = _begin(out, request)
    if done is not None:
        return done
    with _alone(out / WORK), _explained(out):
        with _not_begun(out):
            index, images = open_source(settings, out / WORK)
            plan = make_plan(index, settings, out / WORK)
        job = Job(settings, out, index.folder, images)
        _run(job, plan, workers, progress or (lambda done, total: None))
        summary = finish(job, plan, request)
    shutil.rmtree(out / WORK, ignore_errors=True)
    return summary


def _stamps(settings: Settings) -> list[list]:
    from fdsr.datasets.vggface2_files import find_files
    stamps = find_files(settings.data_root, settings.listing).stamps()
    return [list(stamp) for stamp in stamps]


def _begin(out: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """Make the folder, or see what is in it; the summary if all is done."""
    for file in (out / DONE, out / WORK / 'request.json'):
        if not file.exists():
            continue
        found = json.loads(file.read_text(encoding='utf-8'))
        _check_request(out, found['request'], request)
        if file.name == DONE:
            shutil.rmtree(out / WORK, ignore_errors=True)
            return found
        return None
    if out.exists() and not out.is_dir():
        raise ValueError(f'{out} is a file: give a folder.')
    if out.exists() and any(path.name != WORK for path in out.iterdir()):
        raise ValueError(f'{out} is not empty, and no preparation was begun there: '
                         'give a new folder.')
    try:
        (out / WORK).mkdir(parents=True, exist_ok=True)
        write_bytes(out / WORK / 'request.json',
                    json.dumps({'request': request}).encode())
    except OSError as error:
        raise Stopped(f'{out} cannot be written ({error}). Give another folder, or '
                      'make room there.') from error
    return None


def _check_request(out: Path, found: dict[str, Any], request: dict[str, Any]) -> None:
    changed = [f'{key} was {found.get(key)!r}, is {request.get(key)!r}'
               for key in sorted({*found, *request})
               if found.get(key) != request.get(key)]
    if changed:
        raise ValueError(f'{out} was begun with other settings or data: '
                         f'{"; ".join(changed)}. Give another folder, or remove this '
                         'one.')


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    try:
        lock = FileLock(work / 'lock').acquire(timeout=0)
    except Timeout as error:
        raise Stopped(f'Another run is writing to {work.parent}: wait for it, '
                      'or give another folder.') from error
    with lock:
        yield


@contextlib.contextmanager
def _not_begun(out: Path) -> Iterator[None]:
    """Forgets what was asked if it cannot be begun: fixed, it is another request."""
    try:
        yield
    except (ValueError, FileNotFoundError):
        if not any(path.name != WORK for path in out.iterdir()):
            shutil.rmtree(out / WORK, ignore_errors=True)
        raise


@contextlib.contextmanager
def _explained(out: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Stopped(f'{out} cannot be written ({error}). Make room there. '
                      f'{_AGAIN}') from error


def _run(job: Job, plan: Plan, workers: int, progress: Callable[[int, int], None]
         ) -> None:
    """Do the units that are missing."""
    for leftover in job.work.glob('*.part'):
        shutil.rmtree(leftover, ignore_errors=True)
    missing = [unit for unit in plan.units if not job.records(unit).exists()]
    total = plan.units[-1].last
    done = total - sum(unit.last - unit.first for unit in missing)
    progress(done, total)
    write = functools.partial(write_unit, job)
    written = in_processes(write, missing, workers) if workers else (
        write(unit) for unit in missing)
    # what is being written is left; the folder of a unit only appears when whole
    with contextlib.closing(written):
        for unit, _ in zip(missing, written):
            done += unit.last - unit.first
            progress(done, total)
