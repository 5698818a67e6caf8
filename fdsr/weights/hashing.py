"""Hashes of the values in a model file, stored in its description.

Flipped bits in a tensor are valid numbers, so only a hash detects them.
"""

import hashlib
from typing import Any, Mapping

#: Key of the hash, or of the hashes by backbone, in the description of a file.
KEY = 'weights_sha256'


def values_sha256(values: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of named tensors as 64 hex digits.

    The hash covers names, dtypes, shapes and values, but not the order, the device or
    the layout in memory. Other values than tensors are ignored.
    """
    import torch
    digest = hashlib.sha256()
    for name in sorted(values):
        value = values[name]
        if isinstance(value, torch.Tensor):
            digest.update(f'{name!r} {value.dtype} {tuple(value.shape)}\n'.encode(
                errors='backslashreplace'))
            digest.update(tensor_bytes(value))
    return digest.hexdigest()


def tensor_bytes(value: Any) -> memoryview:
    """Returns the bytes of a tensor; only one on a GPU or with strides is copied."""
    import torch
    flat = value.detach().cpu().resolve_neg().contiguous().reshape(-1)
    flat = flat.as_strided(flat.shape, (1, ))  # a single value may have another stride
    return memoryview(flat.view(torch.uint8).numpy())


def hashes_of(state: Mapping[str, Any]) -> dict[str, str]:
    """Returns the hash of each top-level module of a state dict.

    Args:
        state: {'NAME.module.weight': tensor}; the hash of NAME covers the keys without
            it.
    """
    modules: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        name, _, rest = key.partition('.')
        modules.setdefault(name, {})[rest] = value
    return {name: values_sha256(values) for name, values in modules.items()}
