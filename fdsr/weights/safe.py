"""Loading checkpoints without running code from them."""

import errno
import functools
import pickle
import re
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

from fdsr.weights.content import (
    UnexpectedContent,
    check_container,
    check_content,
    check_globals,
    size_of,
)
from fdsr.weights.files import check_ordinary

#: Below this, ``weights_only=True`` does not protect: CVE-2025-32434, CVE-2026-24747.
TORCH_FLOOR = (2, 10)
_ONE_AT_A_TIME = threading.RLock()
_INSTALLED_MARK = '_fdsr_weights_only'


class RefusedCheckpointError(pickle.UnpicklingError):
    """A checkpoint is damaged, or contains more than plain data and dense tensors."""


def check_torch_version() -> None:
    """Checks that this torch loads files safely.

    Raises:
        RuntimeError: it is older than 2.10.
    """
    import torch
    found = re.match(r'(\d+)\.(\d+)', str(torch.__version__))
    if found is None or tuple(map(int, found.groups())) < TORCH_FLOOR:
        floor = '.'.join(map(str, TORCH_FLOOR))
        raise RuntimeError(
            f'torch {torch.__version__} is installed; loading needs torch >= {floor}. '
            'In earlier versions a model file can run code or corrupt memory in spite '
            f'of weights_only=True (CVE-2025-32434, CVE-2026-24747). Run: pip install '
            f'"torch>={floor}"')


def safe_load(path: str | Path, map_location: Any = 'cpu', mmap: bool = False) -> Any:
    """Loads a torch file of plain data and dense tensors, and checks all tensors.

    Args:
        path: the file.
        map_location: as for `torch.load`.
        mmap: map the file instead of reading it, as `torch.load` does.

    Returns:
        What was saved: tensors and plain Python containers.

    Raises:
        FileNotFoundError: no such file.
        RefusedCheckpointError: the file holds more than tensors and plain data, or
            a tensor is not dense or larger than the file; the message names the file,
            what was found and the remedy.
        OSError: it cannot be read, or is not a regular file.
        RuntimeError: torch is older than 2.10.
    """
    import torch
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: expected a checkpoint, found no file. Correct the path.')
    check_ordinary(path)
    return _load(torch.load, path, path, map_location, mmap=mmap)


def _load(load: Callable, name: Any, file: Any, map_location: Any,
          **options: Any) -> Any:
    """Calls `torch.load` with every check; ``name`` is the file's in messages."""
    check_torch_version()
    with _refusing(name):
        check_container(file)
        check_globals(file)
        size = size_of(file)
        content = load(file, map_location, weights_only=True, **options)
        check_content(content, size, on_cpu=str(map_location) == 'cpu')
    return content


def install_safe_loader() -> None:
    """Makes all of mmengine load checkpoints as `safe_load` does.

    `CheckpointLoader.load_checkpoint` is the only way to every scheme (local files,
    http, torchvision, ceph, ..., and those that are registered later), to
    `Runner.load_checkpoint`, `Runner.resume` and `Pretrained` initialisers. It is
    wrapped once: while it runs, `torch.load` is safe whatever its caller asks for, as
    later versions of mmengine and `torch.hub` ask for ``weights_only=False``.

    Raises:
        RuntimeError: torch is older than 2.10.
    """
    from mmengine.runner.checkpoint import CheckpointLoader
    check_torch_version()
    original = CheckpointLoader.load_checkpoint.__func__
    if getattr(original, _INSTALLED_MARK, False):
        return

    @functools.wraps(original)
    def load_checkpoint(cls, filename, map_location=None, logger='current'):
        with _safe_torch_load(filename):
            content = original(cls, filename, map_location, logger)
        return _without_code(filename, content)

    setattr(load_checkpoint, _INSTALLED_MARK, True)
    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


def _without_code(name: Any, content: Any) -> dict:
    """Removes the config that `Runner.resume` would run as Python code.

    Raises:
        RefusedCheckpointError: the content is no dict, or its state dict has keys that
            are no strings.
    """
    if not isinstance(content, dict):
        raise _refusal(name, f'a {type(content).__name__}')
    state = content.get('state_dict', {})
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise _refusal(name, 'a state dict that is not one of tensors by name')
    if isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


@contextmanager
def _safe_torch_load(name: Any) -> Iterator[None]:
    """Replaces `torch.load` by its safe version, for this thread.

    Threads take turns, since one that is done would remove the protection of another.
    """
    import torch
    with _ONE_AT_A_TIME:
        original, owner = torch.load, threading.get_ident()

        @functools.wraps(original)
        def load(f, map_location=None, pickle_module=None, **options):
            if threading.get_ident() != owner:
                return original(f, map_location, pickle_module, **options)
            options.pop('weights_only', None)
            return _load(original, name, f, map_location, **options)

        torch.load = load
        try:
            yield
        finally:
            torch.load = original


@contextmanager
def _refusing(name: Any) -> Iterator[None]:
    """Turns errors about a file's content into ours, which name the file."""
    try:
        yield
    except RefusedCheckpointError:
        raise  # a scheme of mmengine's that uses safe_load
    except UnexpectedContent as error:
        raise _refusal(name, str(error)) from error
    except Exception as error:  # a malformed file can fail anywhere in torch
        if _is_of_the_machine(error):
            raise
        raise _refusal(name, _found_by(error)) from error


def _is_of_the_machine(error: Exception) -> bool:
    """Returns whether an error is not about the file's content."""
    import torch
    if isinstance(error, OSError):
        # torch seeks to where a file that was cut off should end: EINVAL
        return error.errno != errno.EINVAL
    return (isinstance(error, torch.OutOfMemoryError)
            or 'Attempting to deserialize object on' in str(error))


def _found_by(error: Exception) -> str:
    """Returns what an error of torch found in a file.

    torch's own messages advise to switch the protection off, so that only the name of
    what was refused is taken from them.
    """
    refused = re.search(r'GLOBAL (\S+)', str(error))
    if refused:
        return f'the global {refused.group(1)}'
    if isinstance(error, MemoryError) or 'allocate memory' in str(error):
        return 'a description of more data than this machine has memory for'
    return f'no such content ({type(error).__name__})'


def _refusal(name: Any, found: str) -> RefusedCheckpointError:
    expected = (
        f'{name}: expected a torch file of dense tensors and plain data, which is all '
        f'that is loaded (weights_only=True); found {found}')
    if found.startswith('the global '):
        return RefusedCheckpointError(
            f'{expected}, and loading that can run code. Use a checkpoint written by '
            'this project; or, if you trust the source of the file, save its state '
            'dict alone in a session of your own: torch.save(model.state_dict(), '
            'NEW_FILE).')
    return RefusedCheckpointError(
        f'{expected}. The file is damaged, or of another kind: copy or fetch it again.')
