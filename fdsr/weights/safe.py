"""Loading checkpoints without running what is in them."""

import errno
import functools
import pickle
import re
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Union

_ONE_AT_A_TIME = threading.RLock()
_INSTALLED_MARK = '_fdsr_weights_only'
# What torch's RuntimeErrors say when it is the file that is refused or broken.
_TORCH_FILE_ERRORS = ('weights_only', 'PytorchStreamReader')


class RefusedCheckpointError(pickle.UnpicklingError):
    """A checkpoint is broken, or holds objects whose loading could run code."""


def safe_load(path: Union[str, Path], map_location: Any = 'cpu') -> Any:
    """Loads a torch file with ``weights_only=True``.

    Args:
        path: the file.
        map_location: as for `torch.load`.

    Returns:
        What was saved: tensors and plain Python containers.

    Raises:
        FileNotFoundError: no such file.
        RefusedCheckpointError: the file is no torch file of tensors and plain data;
            the message names it, what was refused and the remedy.
    """
    import torch
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: expected a checkpoint, found no file. Correct the path.')
    with _refusing(path):
        return torch.load(path, map_location=map_location, weights_only=True)


def install_safe_loader() -> None:
    """Makes all of mmengine load checkpoints with ``weights_only=True``.

    `CheckpointLoader.load_checkpoint` is the one door of every scheme (local files,
    http, torchvision, ceph, ..., and those that are registered later), of
    `Runner.load_checkpoint` and of `Runner.resume`. It is wrapped once: while it
    runs, `torch.load` loads weights only, whatever its caller asks for, as later
    versions of mmengine and `torch.hub` ask for the contrary.
    """
    from mmengine.runner.checkpoint import CheckpointLoader
    original = CheckpointLoader.load_checkpoint.__func__
    if getattr(original, _INSTALLED_MARK, False):
        return

    @functools.wraps(original)
    def load_checkpoint(cls, filename, map_location=None, logger='current'):
        with _refusing(filename), _weights_only():
            return original(cls, filename, map_location, logger)

    setattr(load_checkpoint, _INSTALLED_MARK, True)
    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


@contextmanager
def _weights_only() -> Iterator[None]:
    """Within it, every `torch.load` has ``weights_only=True``.

    Threads take turns: one that is done would switch the protection off under another.
    """
    import torch
    with _ONE_AT_A_TIME:
        yield from _with_safe_torch_load(torch)


def _with_safe_torch_load(torch: Any) -> Iterator[None]:
    original = torch.load

    @functools.wraps(original)
    def load(*args, **kwargs):
        # A pickle module of the caller's cannot go with weights_only.
        kwargs.pop('pickle_module', None)
        kwargs['weights_only'] = True
        return original(*args[:2], **kwargs)

    torch.load = load
    try:
        yield
    finally:
        torch.load = original


@contextmanager
def _refusing(path: Union[str, Path]) -> Iterator[None]:
    """Turns torch's errors about a file's content into ours, which name the file."""
    try:
        yield
    except RefusedCheckpointError:
        raise  # a scheme of mmengine's that uses safe_load
    except (pickle.UnpicklingError, EOFError) as error:
        raise _refusal(path, error) from error
    except RuntimeError as error:
        if not any(mark in str(error) for mark in _TORCH_FILE_ERRORS):
            raise
        raise _refusal(path, error) from error
    except OSError as error:
        # torch seeks to where a file that was cut off should end.
        if error.errno != errno.EINVAL:
            raise
        raise _refusal(path, error) from error


def _refusal(path: Union[str, Path], error: BaseException) -> RefusedCheckpointError:
    # torch's own message advises to switch the protection off: of it, only the name
    # of what was refused is passed on.
    refused = re.search(r'GLOBAL (\S+)', str(error))
    expected = (
        f'{path}: expected a torch file of tensors and plain data, which is all that '
        'is loaded (weights_only=True)')
    if refused:
        return RefusedCheckpointError(
            f'{expected}; found the global {refused.group(1)}, and loading that can '
            'run code. Take a checkpoint written by this project; or, if you trust '
            'where the file comes from, save its state dict alone in a session of '
            'your own: torch.save(model.state_dict(), NEW_FILE).')
    return RefusedCheckpointError(
        f'{expected}; found no such file in it ({type(error).__name__}). It is broken, '
        'or of another kind: copy or fetch it again.')
