"""Model files: their description is checked, and a network is built within bounds.

A model file is data. It may name the networks that are registered, never Python code,
and a network may not become larger than the values that the file has for it.
"""

from fdsr.models.files.budget import Budget
from fdsr.models.files.building import build_network, check_loadable
from fdsr.models.files.description import FORMAT, check_description, check_meta
from fdsr.models.files.external import find_external, relocated
from fdsr.models.files.fitting import CheckpointMismatch, check_external, check_values

__all__ = [
    'FORMAT', 'Budget', 'CheckpointMismatch', 'build_network', 'check_description',
    'check_external', 'check_loadable', 'check_meta', 'check_values', 'find_external',
    'relocated'
]
