"""Safe loading of checkpoints: no code from the file is executed."""

import errno
import functools
import re
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

from fdsr.weights.content import UnexpectedContent, check_content, check_file
from fdsr.weights.errors import RefusedCheckpointError
from fdsr.weights.files import check_ordinary
from fdsr.weights.safetensors_files import SUFFIX
from fdsr.weights.safetensors_files import load as load_safetensors

#: Minimum version for ``weights_only=True`` to be safe: CVE-2025-32434, CVE-2026-24747.
TORCH_FLOOR = (2, 10)
_ONE_AT_A_TIME = threading.RLock()
_INSTALLED_MARK = '_fdsr_weights_only'


def check_torch_version() -> None:
    """Checks that the installed torch loads files safely.

    Raises:
        RuntimeError: torch is older than 2.10.
    """
    import torch
    found = re.match(r'(\d+)\.(\d+)', str(torch.__version__))
    if found is None or tuple(map(int, found.groups())) < TORCH_FLOOR:
        floor = '.'.join(map(str, TORCH_FLOOR))
        raise RuntimeError(
            f'torch {torch.__version__} is installed; loading needs torch >= {floor}. '
            'In earlier versions a model file can run code or corrupt memory despite '
            'weights_only=True (CVE-2025-32434, CVE-2026-24747). Run: pip install '
            f'"torch>={floor}"')


def safe_load(path: str | Path, map_location: Any = 'cpu', mmap: bool = False) -> Any:
    """Loads a file of plain data and dense tensors, and checks all tensors.

    Args:
        path: a torch file, or a self-describing ``.safetensors`` file, which is loaded
            onto the CPU.
        map_location: see ``torch.load``.
        mmap: map the file instead of reading it, see ``torch.load``.

    Returns:
        Tensors and plain Python containers.

    Raises:
        FileNotFoundError: the file does not exist.
        RefusedCheckpointError: the file contains more than tensors and plain data, or
            a tensor is not dense or larger than the file; the message names the file,
            what was found and the remedy.
        OSError: the file cannot be read, or is not a regular file.
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
    """Calls ``torch.load`` with every check; messages call the file ``name``.

    mmengine passes safetensors files to ``torch.load``, too.
    """
    if isinstance(file, (str, Path)) and Path(file).suffix == SUFFIX:
        return load_safetensors(Path(file))
    check_torch_version()
    with _refusing(name):
        size = check_file(file)
        content = load(file, map_location, weights_only=True, **options)
        check_content(content, size, on_cpu=str(map_location) == 'cpu')
    return content


def install_safe_loader() -> None:
    """Makes all of mmengine load checkpoints as ``safe_load`` does.

    ``Runner.load_checkpoint``, ``Runner.resume``, ``Pretrained`` initialisers and every
    scheme (local files, http, torchvision, ceph, ...) call
    ``CheckpointLoader.load_checkpoint``. It is wrapped once. While it runs,
    ``torch.load`` ignores ``weights_only=False``, which later versions of mmengine and
    ``torch.hub`` pass.

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
    """Removes the config that ``Runner.resume`` would execute as Python code."""
    if not isinstance(content, dict):
        raise _refusal(name, f'a {type(content).__name__}')
    state = content.get('state_dict', {})
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise _refusal(name, 'a state dict with keys that are not strings')
    if isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


@contextmanager
def _safe_torch_load(name: Any) -> Iterator[None]:
    """Replaces ``torch.load`` by its safe version in the current thread.

    A lock keeps other threads out, because each thread restores ``torch.load``.
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
    """Converts errors about the content of a file to RefusedCheckpointError."""
    try:
        yield
    except RefusedCheckpointError:
        raise  # an mmengine scheme that uses safe_load
    except UnexpectedContent as error:
        raise _refusal(name, str(error)) from error
    except Exception as error:  # a malformed file can fail anywhere in torch
        if _is_of_the_machine(error):
            raise
        raise _refusal(name, _found_by(error)) from error


def _is_of_the_machine(error: Exception) -> bool:
    """Returns True for an error that the content of the file did not cause."""
    import torch
    if isinstance(error, OSError):
        # EINVAL: torch seeks beyond the end of a truncated file
        return error.errno != errno.EINVAL
    return (isinstance(error, torch.OutOfMemoryError)
            or 'Attempting to deserialize object on' in str(error))


def _found_by(error: Exception) -> str:
    """Returns what an error of torch found in a file.

    torch's messages recommend disabling the protection, so only the name of the
    rejected global is used.
    """
    refused = re.search(r'GLOBAL (\S+)', str(error))
    if refused:
        return f'the global {refused.group(1)}'
    if isinstance(error, MemoryError) or 'allocate memory' in str(error):
        return 'more data than the memory of this machine'
    return f'other content ({type(error).__name__})'


def _refusal(name: Any, found: str) -> RefusedCheckpointError:
    expected = (
        f'{name}: expected a torch file of dense tensors and plain data '
        f'(weights_only=True), found {found}')
    if found.startswith('the global '):
        return RefusedCheckpointError(
            f'{expected}, which can run code when it is loaded. Use a checkpoint '
            'written by fdsr. Or, if you trust the source of the file, load it in a '
            'Python session and save only its state dict: '
            'torch.save(model.state_dict(), NEW_FILE).')
    return RefusedCheckpointError(
        f'{expected}. The file is damaged or of another kind. Copy or fetch it again.')
