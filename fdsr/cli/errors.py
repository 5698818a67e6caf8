"""Ends command lines with a message in place of a traceback."""

import errno
import functools
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable

_TRACEBACK = 'FDSR_TRACEBACK'
#: Packages by the extra that installs them; '' is fdsr without extras.
EXTRAS = {
    '': ('torch', 'torchvision', 'mmengine', 'numpy', 'cv2', 'PIL', 'tqdm',
         'filelock', 'simplejpeg'),
    'train': ('mmagic', 'mmcv', 'lpips', 'pandas', 'scipy', 'sklearn', 'lmdb',
              'matplotlib', 'diffusers', 'transformers', 'einops',
              'resize_right', 'click'),
    'landmarks': ('mediapipe',),
    'heif': ('pillow_heif',),
    'demo': ('gradio', 'fastapi', 'uvicorn', 'jinja2'),
    'video': ('av',),
    'onnx': ('onnx', 'onnxscript', 'onnxruntime'),
    'identity': ('dlib', 'face_recognition_models'),
    'fan': ('face_alignment',),
    'hub': ('huggingface_hub',),
    'cluster': ('ray',),
    'remote': ('fsspec', 'webdataset', 's3fs'),
}
#: The project's packages; the last two exist in a checkout only.
_PROJECT = ('fdsr', 'benchmarks', 'projects')
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def report_errors(main: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a ``main`` to end with a message on errors that a user can fix.

    These are errors raised by the project's own code, missing packages and a full disk.
    All others keep their traceback. ``FDSR_TRACEBACK=1`` in the environment keeps every
    traceback.
    """
    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return main(*args, **kwargs)
        except Exception as error:
            text = _explanation(error)
            if os.environ.get(_TRACEBACK) or text is None:
                raise
            print(f'{_TRACEBACK}=1 shows the traceback:', file=sys.stderr)
            sys.exit(f'{_program()}: {text}')
    return run


def _program() -> str:
    """Returns the name of the command, also for ``python -m PACKAGE``."""
    path = Path(sys.argv[0])
    return path.parent.name if path.name == '__main__.py' else path.name


def _explanation(error: Exception) -> str | None:
    """Returns the message for an error, or None if the traceback is needed."""
    if _raised_here(error) and ' ' in str(error):
        # str() of a KeyError quotes its text
        return str(error.args[0] if isinstance(error, KeyError) else error)
    if isinstance(error, TypeError) and _module_of(error).startswith(
            'mmengine.registry') and 'argument' in str(error):
        return f'{error}. Correct this key in the config, or remove it.'
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_package(error.name.partition('.')[0])
    if _disk_is_full(error):
        name = getattr(error, 'filename', None)
        return (f'The disk is full{f" ({name})" if name else ""}. Free space, or write '
                'to another disk, and run the same command again.')
    return None


def _raised_here(error: Exception) -> bool:
    return _module_of(error).partition('.')[0] in _PROJECT


def _module_of(error: Exception) -> str:
    """Returns the name of the module that raised an error."""
    frame, _ = list(traceback.walk_tb(error.__traceback__))[-1]
    return frame.f_globals.get('__name__', '')


def _missing_package(name: str) -> str | None:
    for extra, packages in EXTRAS.items():
        if name in packages:
            needs = f'fdsr[{extra}]' if extra else 'fdsr'
            return f'This needs the package {name}: pip install "{needs}"'
    return None


def _disk_is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL
    # torch.save turns it into a RuntimeError
    return (isinstance(error, RuntimeError) and 'inline_container' in str(error)
            and 'Reader' not in str(error))
