"""Model files: validates their description and builds their network within limits.

A model file is data. It can name registered networks, but no other Python code, and
the size of a network is limited by the values in the file.
"""

from fdsr.models.files.budget import Budget
from fdsr.models.files.building import build_network, check_loadable
from fdsr.models.files.description import FORMAT, check_description, check_meta
from fdsr.models.files.external import find_external, relocated
from fdsr.models.files.fitting import (
    CheckpointMismatch,
    check_external,
    check_hashes,
    check_values,
)

__all__ = [
    'FORMAT', 'Budget', 'CheckpointMismatch', 'build_network', 'check_description',
    'check_external', 'check_hashes', 'check_loadable', 'check_meta', 'check_values',
    'find_external', 'relocated'
]
