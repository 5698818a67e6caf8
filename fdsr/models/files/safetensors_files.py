"""Self-describing files in the format safetensors.

The metadata has ``fdsr``, the JSON of a checkpoint's ``meta``, and ``fdsr_sha256``, its
SHA-256, because the format itself has no checksum. The hashes of the weights are in the
description, see ``fdsr.models.files.checkpoints``.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from fdsr.weights import RefusedCheckpointError
from fdsr.weights.content import UnexpectedContent, check_content
from fdsr.weights.files import check_ordinary
from fdsr.weights.plain import LONG_TEXT

SUFFIX = '.safetensors'
_META, _HASH = 'fdsr', 'fdsr_sha256'
_HOW = 'Copy or fetch it again, or convert it with tools/convert_checkpoint.py.'


def save(meta: dict[str, Any], state: dict[str, Tensor], path: Path) -> None:
    """Writes a file.

    Args:
        meta: plain values with the description ``fdsr``.
        state: the values by name.
        path: the file.

    Raises:
        OSError: the file cannot be written.
        TypeError: ``meta`` has a value that JSON does not represent.
    """
    from safetensors.torch import save as as_bytes
    text = json.dumps(meta)
    # the format stores neither views nor shared values
    values = {key: value.detach().cpu().clone().contiguous()
              for key, value in state.items()}
    path.write_bytes(as_bytes(values, {_META: text, _HASH: _sha256(text)}))


def load(path: Path) -> dict[str, Any]:
    """Loads a file that ``save`` wrote.

    Returns:
        ``meta`` and ``state_dict``, as in a checkpoint; ``meta`` is not yet validated.

    Raises:
        RefusedCheckpointError: the file is damaged or has no description.
        OSError: the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open
    check_ordinary(path)
    try:
        with safe_open(path, 'pt') as file:
            metadata = file.metadata() or {}
            meta = _meta_of(path, metadata.get(_META), metadata.get(_HASH))
            state = {key: file.get_tensor(key) for key in file.keys()}
        content = {'meta': meta, 'state_dict': state}
        check_content(content, path.stat().st_size)
    except (OSError, RefusedCheckpointError):
        raise
    except (SafetensorError, UnexpectedContent) as error:
        raise _refusal(path, ' '.join(str(error).split())[:300]) from error
    except Exception as error:  # a malformed file can fail anywhere in the package
        raise _refusal(path, f'other content ({type(error).__name__})') from error
    return content


def _meta_of(path: Path, text: str | None, digest: str | None) -> Any:
    if text is None:
        raise _refusal(path, f'no metadata {_META!r}')
    if len(text) > LONG_TEXT or digest != _sha256(text):
        raise _refusal(path, f'a description that differs from its {_HASH!r}')
    return json.loads(text)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()


def _refusal(path: Path, found: str) -> RefusedCheckpointError:
    return RefusedCheckpointError(
        f'{path}: expected a self-describing safetensors file of fdsr, found {found}. '
        f'{_HOW}')
