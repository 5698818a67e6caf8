"""Files that a model file names: where they are now, and whether they are the same."""

import os
from pathlib import Path
from typing import Any

from fdsr.models.files.fitting import CheckpointMismatch
from fdsr.weights import sha256_of


def find_external(checkpoint: Path, part: str, record: dict[str, str]) -> str:
    """Finds a recorded file, at its path or beside the checkpoint.

    Raises:
        FileNotFoundError: in neither place.
        CheckpointMismatch: what lies there has another hash, or cannot be read.
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
    needs = (f'{checkpoint} takes the values of {part} from {recorded} (SHA-256 '
             f'{record["sha256"][:12]}…)')
    remedy = 'Put the file that it was made with there, or beside the checkpoint.'
    if unusable is not None:
        raise CheckpointMismatch(
            f'{needs}, which cannot be used: {unusable.strerror}. {remedy}'
        ) from unusable
    if found:
        # what a file elsewhere is, the author of the checkpoint need not learn
        beside = found[0].parent == checkpoint.parent
        what = f' ({sha256_of(found[0])[:12]}…)' if beside else ''
        raise CheckpointMismatch(
            f'{needs}, but {found[0]} is another file now{what}. {remedy}')
    raise FileNotFoundError(
        f'{needs}, which is neither there nor beside the checkpoint. {remedy}')


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
