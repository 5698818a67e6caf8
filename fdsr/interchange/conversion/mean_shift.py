"""The mean shift that RCAN's and SRFBN's files hold as two 1×1 convolutions."""

from typing import Dict

import torch
from torch import Tensor

from fdsr.models.backbones.mean_shift import DIV2K_MEAN, RANGE


def constants(config: dict) -> Dict[str, Tensor]:
    """What the files hold and our networks have built in: the mean of DIV2K."""
    del config
    fixed = {}
    for name, sign in (('sub_mean', -1), ('add_mean', 1)):
        fixed[f'{name}.weight'] = torch.eye(3)[:, :, None, None]
        fixed[f'{name}.bias'] = sign * RANGE * torch.tensor(DIV2K_MEAN)
    return fixed
