"""External weights: source, licence and SHA-256 of each file, and safe loading.

Only ``fetch`` downloads these files, and only ``tools/fetch_weights.py`` calls it.
torch is imported where it is used, so that this package is cheap to import.
"""

from fdsr.weights.announce import (
    announce_random,
    weights_are_to_follow,
    weights_follow,
)
from fdsr.weights.errors import ModelFileError, RefusedCheckpointError
from fdsr.weights.files import sha256_of
from fdsr.weights.safe import (
    check_torch_version,
    install_safe_loader,
    safe_load,
)
from fdsr.weights.sources import SOURCES, ExternalWeights, Source
from fdsr.weights.vgg import lpips_heads, preferring, vgg_state_dict

__all__ = ['SOURCES', 'ExternalWeights', 'ModelFileError', 'RefusedCheckpointError',
           'Source', 'announce_random', 'check_torch_version', 'install_safe_loader',
           'lpips_heads', 'preferring', 'safe_load', 'sha256_of', 'vgg_state_dict',
           'weights_are_to_follow', 'weights_follow']
