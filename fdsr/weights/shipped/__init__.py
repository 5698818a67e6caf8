"""Weights bundled with the package."""

from dataclasses import dataclass
from pathlib import Path

from fdsr.weights.files import check_sha256

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ShippedWeights:
    """File of bundled weights.

    Args:
        file: name in ``fdsr/weights/shipped``.
        sha256: SHA-256 of the file.
        licence: licence of the weights.
    """

    file: str
    sha256: str
    licence: str


#: Bundled weights by their name in ``FaceSuperResolver`` and on the command line.
SHIPPED: dict[str, ShippedWeights] = {
    'small': ShippedWeights(
        'small-789fa7fa.safetensors',
        '789fa7fafb890d3aaf34c77bc308a107d3cb0997d0d7b8385e734e09eb3638d0', 'CC0-1.0'),
    'tiny': ShippedWeights(
        'tiny-be2166e3.safetensors',
        'be2166e3f857bf829c5b3c51ae0f6da0133a94b823196000b29ab51a3c1a1045', 'CC0-1.0'),
    'base': ShippedWeights(
        'base-d16d75e9.safetensors',
        'd16d75e964080757f7f6b8dff6497011f7fceb20608cc4d0aee344d1b83fec2a', 'CC0-1.0'),
    'compact': ShippedWeights(
        'compact-38111743.safetensors',
        '38111743573ff72c3af5346d17a12ff166082bf210191205b61ccf0df0c7f021', 'CC0-1.0'),
}
#: Name of the default weights.
DEFAULT = 'small'


def shipped_weights(name: str) -> Path:
    """Returns the path of bundled weights after checking their hash.

    Raises:
        KeyError: the name is unknown.
        FileNotFoundError: the file is missing.
        ValueError: the file was modified.
    """
    if name not in SHIPPED:
        raise KeyError(f'{name!r} is not the name of bundled weights; available: '
                       f'{", ".join(SHIPPED)}.')
    path = _FOLDER / SHIPPED[name].file
    remedy = 'Install fdsr again.'
    if not path.is_file():
        raise FileNotFoundError(f'{path}: the bundled weights {name!r} are missing. '
                                f'{remedy}')
    check_sha256(path, SHIPPED[name].sha256, remedy)
    return path
