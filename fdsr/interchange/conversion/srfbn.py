"""Names and sizes in the SRFBN authors' files."""

from typing import Dict, List

from torch import Tensor

_OURS_TO_THEIRS = {
    'to_rgb.': 'conv_out.0.',
    'block.up.': 'block.upBlocks.',
    'block.down.': 'block.downBlocks.',
    'block.up_compress.': 'block.uptranBlocks.',
    'block.down_compress.': 'block.downtranBlocks.',
}
#: The kernel of the strided convolutions is that much wider than the stride.
_KERNEL_EXCESS = 4
#: What no shape tells: all released models unroll four steps.
_STEPS = 4


def config_of(state: Dict[str, Tensor]) -> dict:
    """The backbone's config, by the shapes.

    Raises:
        KeyError: a value that tells a size is missing.
    """
    channels = state['feat_in.0.weight'].shape[0]
    return dict(
        type='fdsr.SRFBN', scale=state['out.0.weight'].shape[-1] - _KERNEL_EXCESS,
        channels=channels, steps=_STEPS,
        groups=state['block.compress_out.0.weight'].shape[1] // channels)


def official_names(key: str, config: dict) -> List[str]:
    """The authors' name of one of our values, there is but one."""
    for ours, theirs in _OURS_TO_THEIRS.items():
        if key.startswith(ours):
            return [theirs + key[len(ours):]]
    return [key]
