"""Entries of OpenModelDB, github.com/OpenModelDB/open-model-database."""

import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fdsr.interchange.publishing.card import Facts
from fdsr.models.files.model_spec import architecture_of
from fdsr.utils.files import write_text

_MAX_SCALE = 16
_LICENCE = re.compile(r'[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*')


def write_entry(folder: Path, facts: Facts, author: str | None, url: str,
                about: str = '') -> Path:
    """Writes ``SCALEx-NAME.json``, the file for the folder ``data/models``.

    OpenModelDB names authors and architectures by id. New ones have to be added to its
    files ``data/users.json`` and ``data/architectures.json``.

    Args:
        folder: folder of the entry.
        facts: description of the published file.
        author: the author.
        url: address from which the file can be downloaded.
        about: Markdown on data, training and limits.

    Returns:
        The path of the entry.

    Raises:
        ValueError: see ``entry_of``.
        OSError: the entry cannot be written.
    """
    name, entry = entry_of(facts, author, url, about)
    path = folder / f'{name}.json'
    # the database compares the text with that of JSON.stringify(…, null, 4)
    write_text(path, json.dumps(entry, indent=4, ensure_ascii=False))
    return path


def entry_of(facts: Facts, author: str | None, url: str, about: str = ''
             ) -> tuple[str, dict[str, Any]]:
    """Returns the id and the fields of an entry, see ``write_entry``.

    Raises:
        ValueError: the author is missing, the name has no letters or digits, the
            licence is not an SPDX expression, the scale is above 16, or the address is
            not one of the web.
    """
    scale, geometry = facts.geometry.scale, facts.geometry
    user = _dashes(author or '').lower()
    # an id has the scale once, at its start
    name = re.sub(rf'^(?:{scale}x|x{scale})(?=-|$)|(?:^|-)(?:{scale}x|x{scale})$', '',
                  _dashes(facts.name)).strip('-')
    for valid, message in (
            (user, f'an author (--author), found {author!r}'),
            (name, f'a name with letters or digits, found {facts.name!r}'),
            (_LICENCE.fullmatch(facts.licence),
             'an SPDX licence such as CC-BY-4.0 (--licence), found '
             f'{facts.licence!r}'),
            (scale <= _MAX_SCALE, f'a scale of at most {_MAX_SCALE}, found {scale}'),
            (re.fullmatch(r'https?://[^\s/]+/\S+', url),
             f'an address such as https://example.org/{facts.file}, found {url!r}')):
        if not valid:
            raise ValueError(f'An entry of OpenModelDB needs {message}.')
    text = about.strip() or (
        f'Super-resolves aligned faces from {geometry.lr_size}×{geometry.lr_size} to '
        f'{geometry.size}×{geometry.size} pixels.')
    return f'{scale}x-{name}', dict(
        name=facts.name, author=user, license=facts.licence, tags=['faces'],
        description=f'{text}\n\nThe Python package fdsr opens the file.',
        date=datetime.now(timezone.utc).date().isoformat(),
        architecture=_dashes(architecture_of(facts.config)).lower(),
        size=None, scale=scale, inputChannels=3, outputChannels=3,
        resources=[dict(platform='pytorch', type='safetensors', size=facts.bytes,
                        sha256=facts.sha256, urls=[url])],
        images=[])


def _dashes(text: str) -> str:
    """Replaces everything but ASCII letters and digits by single hyphens."""
    return re.sub('[^A-Za-z0-9]+', '-', text).strip('-')
