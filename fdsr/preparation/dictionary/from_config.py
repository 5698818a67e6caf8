"""Building of a dictionary from the config of a teacher."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ContextManager

import torch
from filelock import FileLock, Timeout

from fdsr.models.dictionary.files import check_writable, save_dictionary
from fdsr.preparation.dictionary import on_cluster
from fdsr.preparation.dictionary.building import (
    BuiltDictionary,
    DictionaryBuilder,
    check_enough_faces,
    check_num_atoms,
)
from fdsr.preparation.dictionary.faces import (
    FaceBatches,
    encoder_of,
    teacher_settings,
    training_faces,
)
from fdsr.preparation.dictionary.resume import SETTINGS, BuildState
from fdsr.preparation.executor import Executor

#: Creates the progress report; called with the number of faces of one pass.
ProgressFactory = Callable[[int], ContextManager[Callable[[str, int], None]]]


@dataclass(frozen=True)
class WrittenDictionary:
    """Result of ``build_from_config``.

    Args:
        built: the dictionary and its facts.
        faces: the faces it was built from.
        eye_share: eye distance in the config, which determines the size of the atoms.
        sha256: SHA-256 of the file.
    """

    built: BuiltDictionary
    faces: FaceBatches
    eye_share: float
    sha256: str


def build_from_config(config: Any, out: str | Path, num_atoms: int,
                      progress: ProgressFactory, max_faces: int | None = None,
                      batch_size: int = 4, seed: int = 0, dtype: str = 'float16',
                      device: str = 'cpu', num_workers: int = 0,
                      balance: str | None = None, resume: bool = True,
                      ray: str | None = None) -> WrittenDictionary:
    """Builds the dictionary for the teacher of a config and writes it.

    Intermediate results are stored in ``OUT.partial``. An interrupted build resumes
    from there with the same result.

    Args:
        config: a loaded config that trains a ``DictionaryTeacher``.
        out: the file to write.
        num_atoms: number of atoms of each component and level.
        progress: creates the progress report.
        max_faces: use this many random faces; default: all.
        batch_size: faces per batch.
        seed: seed of the sample, the projections and K-means.
        dtype: dtype of the atoms in the file.
        device: device of the encoder.
        num_workers: number of processes that read images; 0: none.
        balance: sampling of the faces, see ``FaceBatches``.
        resume: resume from ``OUT.partial``; otherwise delete it.
        ray: address of a Ray cluster for the first pass, see ``Executor``; the second
            pass runs in this process.

    Raises:
        ValueError, KeyError: see ``teacher_settings``, ``check_enough_faces`` and
            ``BuildState``; also while another process builds the same file.
        PermissionError: the file cannot be written.
        ImportError, RuntimeError: Ray is not installed, or the cluster cannot be used.
    """
    executor = Executor(ray=ray)
    if ray is not None and device != 'cpu':
        raise ValueError(f'--ray encodes on the CPUs of the cluster: omit --device '
                         f'{device}.')
    settings = teacher_settings(config)
    shape = dict(size=settings['size'], eye_share=settings['eye_share'])
    # a missing device raises here, before a state is created
    dataset, encoder = training_faces(config), encoder_of(settings).to(device)
    faces = FaceBatches(
        dataset, shape['size'], batch_size, max_faces, seed, num_workers, balance)
    check_num_atoms(num_atoms)
    check_enough_faces(num_atoms, len(faces))
    check_writable(out)
    # through JSON: a file with other values could not be loaded
    protocol = json.loads(json.dumps(dataset.protocol(), default=str))
    with _locked(out) as folder:
        if not resume and (folder / SETTINGS).is_file():
            for file in folder.iterdir():
                file.unlink()
        state = BuildState(folder, dict(
            shape, num_atoms=num_atoms, seed=seed, batch_size=batch_size,
            device=device, layout=encoder.layout, encoder=encoder.fingerprint(),
            source=protocol,
            faces=hashlib.sha256(faces.indices.astype('<i8').tobytes()).hexdigest()))
        with progress(len(faces)) as report:
            builder = DictionaryBuilder(
                encoder, **shape, num_atoms=num_atoms, seed=seed, device=device,
                report=report, state=state)
            points = (builder.project(faces) if ray is None
                      else on_cluster.project(builder, faces, executor))
            built = builder.average(faces, builder.group(points))
        sha256 = save_dictionary(
            built.dictionary.to(getattr(torch, dtype)), out, encoder, **shape,
            num_atoms=num_atoms, seed=seed, max_faces=max_faces,
            **_facts(built, faces, protocol, balance))
        state.remove()
    return WrittenDictionary(built, faces, shape['eye_share'], sha256)


def _facts(built: BuiltDictionary, faces: FaceBatches, protocol: dict[str, Any],
           balance: str | None) -> dict[str, Any]:
    """Returns the facts about the faces for the file."""
    facts = dict(num_faces=built.num_faces, skipped=faces.skipped,
                 mean_eye_share=round(faces.eye_share, 4), explained=built.explained,
                 source=protocol)
    if faces.pose:
        facts.update(balance=balance, pose=faces.pose.facts())
    return facts


@contextlib.contextmanager
def _locked(out: str | Path) -> Iterator[Path]:
    """Yields the folder of the unfinished dictionary, locked for this process."""
    try:
        lock = FileLock(f'{out}.lock').acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f'Another run is building {out}: wait for it, or pass another '
                         '--out.') from error
    with lock:
        yield Path(f'{out}.partial')
        with contextlib.suppress(OSError):  # Windows does not delete open files
            os.unlink(f'{out}.lock')
