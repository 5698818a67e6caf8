"""From a teacher's config to its dictionary's file."""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, Iterator, Optional, Union

import torch
from filelock import FileLock, Timeout

from fdsr.models.dictionary.files import check_writable, save_dictionary
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

#: Makes what a builder reports to: called with the number of faces of one pass.
ProgressFactory = Callable[[int], ContextManager[Callable[[str, int], None]]]


@dataclass(frozen=True)
class WrittenDictionary:
    """What was written.

    Args:
        built: the dictionary, and what is known of it.
        faces: that it was built of.
        eye_share: for which the config sizes the atoms.
        sha256: of the file.
    """

    built: BuiltDictionary
    faces: FaceBatches
    eye_share: float
    sha256: str


def build_from_config(config: Any, out: Union[str, Path], num_atoms: int,
                      progress: ProgressFactory, max_faces: Optional[int] = None,
                      batch_size: int = 4, seed: int = 0, dtype: str = 'float16',
                      device: str = 'cpu', num_workers: int = 0,
                      balance: Optional[str] = None, resume: bool = True
                      ) -> WrittenDictionary:
    """Builds the dictionary that a config's teacher reads, and writes it.

    What is finished is kept in ``OUT.partial`` until the whole is. A build that was
    cut off goes on from there, with the result that it would have had.

    Args:
        config: a loaded config that trains a ``DictionaryTeacher``.
        out: the file to write.
        num_atoms: of each component and level.
        progress: for long work to be seen.
        max_faces: use this many, drawn by the seed; default: all.
        batch_size: faces encoded at once.
        seed: of the draw, the projections and K-means.
        dtype: of the atoms in the file.
        device: that computes the features.
        num_workers: processes that read images; 0: this one.
        balance: how to draw the faces, see ``FaceBatches``.
        resume: go on from ``OUT.partial`` if it is there; else throw it away.

    Raises:
        ValueError, KeyError: see ``teacher_settings``, ``check_enough_faces`` and
            ``BuildState``; also while another process builds the same file.
        PermissionError: the file cannot be written.
    """
    settings = teacher_settings(config)
    shape = dict(size=settings['size'], eye_share=settings['eye_share'])
    # to the device now: one that is not there is told before a state is begun with it
    dataset, encoder = training_faces(config), encoder_of(settings).to(device)
    faces = FaceBatches(
        dataset, shape['size'], batch_size, max_faces, seed, num_workers, balance)
    check_num_atoms(num_atoms)
    check_enough_faces(num_atoms, len(faces))
    check_writable(out)
    protocol = _protocol(dataset)
    with _alone(out) as folder:
        state = _state(folder, resume, dict(
            shape, num_atoms=num_atoms, seed=seed, batch_size=batch_size,
            device=device, layout=encoder.layout, encoder=encoder.fingerprint(),
            source=protocol,
            faces=hashlib.sha256(faces.indices.astype('<i8').tobytes()).hexdigest()))
        with progress(len(faces)) as report:
            builder = DictionaryBuilder(
                encoder, **shape, num_atoms=num_atoms, seed=seed, device=device,
                report=report, state=state)
            built = builder.build(faces)
        sha256 = save_dictionary(
            built.dictionary.to(getattr(torch, dtype)), out, encoder, **shape,
            num_atoms=num_atoms, seed=seed, max_faces=max_faces,
            **_facts(built, faces, protocol, balance))
        state.remove()
    return WrittenDictionary(built, faces, shape['eye_share'], sha256)


def _protocol(dataset: Any) -> Dict[str, Any]:
    # Through JSON: what is not plain would keep the file from being loaded.
    return json.loads(json.dumps(dataset.protocol(), default=str))


def _facts(built: BuiltDictionary, faces: FaceBatches, protocol: Dict[str, Any],
           balance: Optional[str]) -> Dict[str, Any]:
    """What the file tells of the faces; of poses only where they were balanced."""
    facts = dict(num_faces=built.num_faces, skipped=faces.skipped,
                 mean_eye_share=round(faces.eye_share, 4), explained=built.explained,
                 source=protocol)
    if faces.pose:
        facts.update(balance=balance, pose=faces.pose.facts())
    return facts


@contextlib.contextmanager
def _alone(out: Union[str, Path]) -> Iterator[Path]:
    """The folder of the unfinished dictionary, which one process at a time has.

    Raises:
        ValueError: another one has it.
    """
    try:
        lock = FileLock(f'{out}.lock').acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f'Another run is building {out}: wait for it, or give another '
                         '--out.') from error
    with lock:
        yield Path(f'{out}.partial')
        with contextlib.suppress(OSError):  # Windows keeps what is open
            os.unlink(f'{out}.lock')


def _state(folder: Path, resume: bool, settings: Dict[str, Any]) -> BuildState:
    if not resume and (folder / SETTINGS).is_file():
        for file in folder.iterdir():
            file.unlink()
    return BuildState(folder, settings)
