"""Names and sizes in the SRFBN authors' files."""

from torch import Tensor

_OFFICIAL_NAMES = {
    'to_rgb.': 'conv_out.0.',
    'block.up.': 'block.upBlocks.',
    'block.down.': 'block.downBlocks.',
    'block.up_compress.': 'block.uptranBlocks.',
    'block.down_compress.': 'block.downtranBlocks.',
}
#: Difference between kernel and stride of the strided convolutions.
_KERNEL_EXCESS = 4
#: Not stored in the files; all released models unroll four steps.
_STEPS = 4


def config_of(state: dict[str, Tensor]) -> dict:
    """Returns the backbone's config, read from the shapes.

    Raises:
        KeyError: a value whose shape is needed is missing.
    """
    channels = state['feat_in.0.weight'].shape[0]
    return dict(
        type='fdsr.SRFBN', scale=state['out.0.weight'].shape[-1] - _KERNEL_EXCESS,
        channels=channels, steps=_STEPS,
        groups=state['block.compress_out.0.weight'].shape[1] // channels)


def official_names(key: str, config: dict) -> list[str]:
    """Returns the authors' name of a value of fdsr's network, as a list of one."""
    for name, official in _OFFICIAL_NAMES.items():
        if key.startswith(name):
            return [official + key[len(name):]]
    return [key]
