"""Locates the external files of a model file and verifies their hashes."""

import os
from pathlib import Path
from typing import Any

from fdsr.models.files.fitting import CheckpointMismatch
from fdsr.weights import sha256_of


def find_external(checkpoint: Path, part: str, record: dict[str, str]) -> str:
    """Finds an external file at its recorded path or next to the checkpoint.

    Raises:
        FileNotFoundError: neither location has the file.
        CheckpointMismatch: the file has another hash or cannot be read.
    """
    recorded = Path(record['path'])
    # not Path.is_file, which raises on a name that is too long
    found = [place for place in (recorded, checkpoint.parent / recorded.name)
             if os.path.isfile(place)]
    unusable = None
    for place in found:
        try:
            if sha256_of(place) == record['sha256']:
                return str(place)
        except OSError as error:
            unusable = error
    needs = (f'{checkpoint} loads the values of {part} from {recorded} (SHA-256 '
             f'{record["sha256"][:12]}…)')
    remedy = 'Put the original file there, or next to the checkpoint.'
    if unusable is not None:
        raise CheckpointMismatch(
            f'{needs}, which cannot be read: {unusable.strerror}. {remedy}'
        ) from unusable
    if found:
        # the hash would disclose a local file to the checkpoint's author
        beside = found[0].parent == checkpoint.parent
        what = f' ({sha256_of(found[0])[:12]}…)' if beside else ''
        raise CheckpointMismatch(
            f'{needs}, but {found[0]} is a different file{what}. {remedy}')
    raise FileNotFoundError(
        f'{needs}, which is neither there nor next to the checkpoint. {remedy}')


def relocated(checkpoint: Path, config: Any, external: dict[str, dict]
              ) -> tuple[Any, dict[str, str]]:
    """Returns a config with the current paths of external files.

    Returns:
        The config, and the current paths by the recorded ones.
    """
    recorded = {record['path']: (part, record) for part, record in external.items()}
    moved: dict[str, str] = {}

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(map(replaced, value))
        if not isinstance(value, str) or value not in recorded:
            return value
        if value not in moved:
            moved[value] = find_external(checkpoint, *recorded[value])
        return moved[value]

    return replaced(config), moved
