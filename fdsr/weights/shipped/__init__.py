"""The weights that come along with the package."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict

from fdsr.weights.files import sha256_of

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ShippedWeights:
    """A file in the package.

    Args:
        file: its name in ``fdsr/weights/shipped``.
        sha256: its hash.
        licence: under which it may be used.
    """

    file: str
    sha256: str
    licence: str


#: By the name that ``FaceSuperResolver`` and the command line take.
SHIPPED: Dict[str, ShippedWeights] = {
    'compact': ShippedWeights(
        'compact-d1065523.pth',
        'd1065523f7199cba88d72fbca057555023eccafdcc908c206b40ac5fdbc6fea3', 'CC0-1.0'),
}
#: Taken where no weights are named.
DEFAULT = 'compact'


def shipped_weights(name: str) -> Path:
    """Where weights that come along lie, after a look at their hash.

    Raises:
        KeyError: no such name.
        FileNotFoundError: the file is not there.
        ValueError: the file has been changed.
    """
    if name not in SHIPPED:
        raise KeyError(f'No weights named {name!r} come along; there are '
                       f'{", ".join(SHIPPED)}.')
    wanted = SHIPPED[name]
    path = _FOLDER / wanted.file
    remedy = 'Install fdsr again.'
    if not path.is_file():
        raise FileNotFoundError(f'The weights {name!r} are not at {path}. {remedy}')
    found = sha256_of(path)
    if found != wanted.sha256:
        raise ValueError(
            f'{path} is not the file that came along: expected SHA-256 '
            f'{wanted.sha256[:12]}…, found {found[:12]}…. {remedy}')
    return path
