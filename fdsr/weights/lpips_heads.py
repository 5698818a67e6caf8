"""Linear heads of LPIPS, version 0.1, from the package lpips."""

from typing import TYPE_CHECKING, Dict, Tuple

from fdsr.weights.files import check_sha256, locate
from fdsr.weights.safe import safe_load
from fdsr.weights.sources import SOURCES, ExternalWeights

if TYPE_CHECKING:
    import torch


def lpips_heads(net: str) -> Tuple[Dict[str, 'torch.Tensor'], ExternalWeights]:
    """Returns the checked linear heads of LPIPS.

    Args:
        net: name of the net in the package lpips, 'alex' or 'vgg'.

    Returns:
        The state dict ('lin0.model.1.weight' (1, C, 1, 1), ...) and the record of its
        file.

    Raises:
        FileNotFoundError: the package lpips is not installed.
        ValueError: the file in the package has another SHA-256.
    """
    source = SOURCES[f'lpips-{net}']
    path = locate(source)
    if path is None:
        raise FileNotFoundError(
            f'The heads of LPIPS ({source.filename}) are in the package lpips, which '
            f'is not installed. Run `{source.get}`.')
    found = check_sha256(path, source.sha256, f'Install it again: {source.get}')
    record = ExternalWeights(source.name, str(path), found, source.licence)
    return safe_load(path), record
