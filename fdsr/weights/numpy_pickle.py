"""Reading pickles that hold numpy arrays and nothing else."""

import pickle
from pathlib import Path
from typing import Any, Union

import numpy as np

try:
    from numpy._core.multiarray import _reconstruct  # numpy 2
except ImportError:
    from numpy.core.multiarray import _reconstruct

# All that a pickled array needs; a pickle can call nothing but what it finds here.
_ALLOWED = {
    ('numpy.core.multiarray', '_reconstruct'): _reconstruct,
    ('numpy._core.multiarray', '_reconstruct'): _reconstruct,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
}


class _NumpyUnpickler(pickle.Unpickler):
    """An unpickler that knows numpy's array constructor and no other global."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns an allowed global.

        Raises:
            pickle.UnpicklingError: any other global.
        """
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f'the global {module}.{name} is refused') from None


def load_numpy_pickle(path: Union[str, Path]) -> Any:
    """Reads a pickle of plain containers and numpy arrays.

    Args:
        path: the file. Check its hash first when one is known.

    Returns:
        What was pickled.

    Raises:
        pickle.UnpicklingError: the pickle asks for anything but numpy arrays; the
            message names the file, the refused global and the remedy.
    """
    with open(path, 'rb') as file:
        try:
            return _NumpyUnpickler(file).load()
        except pickle.UnpicklingError as error:
            raise pickle.UnpicklingError(
                f'{path}: expected a pickle of numpy arrays only, but {error}. Such a '
                'file can run code when it is opened: delete it and take the weights '
                'from where fdsr.weights.SOURCES says.') from error
