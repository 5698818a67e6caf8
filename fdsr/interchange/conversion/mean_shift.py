"""The mean shift that RCAN's and SRFBN's files store as two 1×1 convolutions."""

import torch
from torch import Tensor

from fdsr.models.backbones.mean_shift import DIV2K_MEAN, RANGE


def constants() -> dict[str, Tensor]:
    """Returns DIV2K's mean, which the files store and fdsr's networks have built in."""
    fixed = {}
    for name, sign in (('sub_mean', -1), ('add_mean', 1)):
        fixed[f'{name}.weight'] = torch.eye(3)[:, :, None, None]
        fixed[f'{name}.bias'] = sign * RANGE * torch.tensor(DIV2K_MEAN)
    return fixed
