"""Loader for pickles that contain only numpy arrays."""

import pickle
from pathlib import Path
from typing import Any, Union

import numpy as np

try:
    from numpy._core.multiarray import _reconstruct  # numpy 2
except ImportError:
    from numpy.core.multiarray import _reconstruct

# The globals of a pickled array. A pickle cannot call any other.
_ALLOWED = {
    ('numpy.core.multiarray', '_reconstruct'): _reconstruct,
    ('numpy._core.multiarray', '_reconstruct'): _reconstruct,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
}


class _NumpyUnpickler(pickle.Unpickler):
    """Unpickler that resolves only the constructor of numpy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns an allowed global.

        Raises:
            pickle.UnpicklingError: the global is not allowed.
        """
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f'the global {module}.{name} is refused') from None


def load_numpy_pickle(path: Union[str, Path]) -> Any:
    """Loads a pickle of plain containers and numpy arrays.

    Args:
        path: the file. Check its hash first if one is known.

    Raises:
        pickle.UnpicklingError: the pickle contains another global; the message names
            the file, the global and the remedy.
    """
    with open(path, 'rb') as file:
        try:
            return _NumpyUnpickler(file).load()
        except pickle.UnpicklingError as error:
            raise pickle.UnpicklingError(
                f'{path}: expected a pickle of numpy arrays only, but {error}. Such a '
                'file can run code when it is opened. Delete it and get the weights '
                'from their source in fdsr.weights.SOURCES.') from error
