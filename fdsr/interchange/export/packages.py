"""What exporting needs and most people do not."""

from importlib.util import find_spec

_PACKAGES = ('onnx', 'onnxruntime')


def need_packages() -> None:
    """Sees to it that the packages are there.

    Raises:
        ImportError: one is not; tells how to get it.
    """
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise ImportError(f'Exporting needs {" and ".join(missing)}: '
                          'pip install "fdsr[onnx]".')
