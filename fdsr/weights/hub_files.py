"""Finds the model file of a folder, or of a repository of the Hugging Face hub."""

import re
from pathlib import Path

from fdsr.weights.safetensors_files import SUFFIX

#: The files of a repository; no others are downloaded.
MODEL, CONFIG, CARD = f'model{SUFFIX}', 'config.json', 'README.md'
_PART = r'[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?'
_REPOSITORY = re.compile(rf'(?!.*(?:--|\.\.)){_PART}/{_PART}')
_WRITE = 'tools/publish_model.py --hub-folder writes such a folder.'


def find_pretrained(folder_or_repo: str | Path, revision: str | None = None) -> Path:
    """Returns the path of a model file; a repository is downloaded or read from cache.

    Args:
        folder_or_repo: a folder with ``model.safetensors``, or the id ``OWNER/NAME`` of
            a repository. A folder with the same name takes precedence.
        revision: branch, tag or commit of the repository; default: its main branch.

    Raises:
        FileNotFoundError: the folder, repository or revision does not exist, or it has
            no ``model.safetensors``.
        ValueError: a revision of a folder was requested.
        ImportError: the package huggingface_hub is missing.
        ConnectionError: the hub cannot be reached, and its cache lacks the repository.
        PermissionError: the repository is private or gated.
    """
    folder = Path(folder_or_repo).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ValueError(
                f'{folder} is a folder, which has no revision {revision!r}: omit the '
                'revision, or name a repository.')
    elif isinstance(folder_or_repo, str) and _REPOSITORY.fullmatch(folder_or_repo):
        folder = _download(folder_or_repo, revision)
    else:
        raise FileNotFoundError(
            f'The folder {folder_or_repo} does not exist, and a repository has the '
            f'form OWNER/NAME. {_WRITE}')
    if not (folder / MODEL).is_file():
        raise FileNotFoundError(
            f'{folder_or_repo} has no file {MODEL}, which from_pretrained opens. '
            f'{_WRITE}')
    return folder / MODEL


def _download(repository: str, revision: str | None) -> Path:
    """Returns the folder of a repository in the hub's cache."""
    try:
        from huggingface_hub import errors, snapshot_download
    except ImportError as error:
        raise ImportError(
            f'The folder {repository} does not exist, and a repository of that name '
            'needs the package huggingface_hub: pip install "fdsr[hub]"') from error
    where = repository if revision is None else f'{repository} at {revision!r}'
    try:
        return Path(snapshot_download(repository, revision=revision,
                                      allow_patterns=[MODEL, CONFIG, CARD]))
    except errors.GatedRepoError as error:
        raise PermissionError(
            f'{where}: access to this repository has to be requested on its page; then '
            'log in with the command line of huggingface_hub.') from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(
            f'{repository} has no revision {revision!r}: pass a branch, a tag or a '
            'commit.') from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f'{repository} is neither a folder nor a public repository: correct the '
            'name, or log in with the command line of huggingface_hub.') from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise ConnectionError(
            f'{where} is not in the local cache, and the hub cannot be reached: '
            'connect to it, unset HF_HUB_OFFLINE, or pass a folder.') from error
    except Exception as error:  # of requests or httpx, depending on the version
        raise ConnectionError(
            f'{where} could not be downloaded ({" ".join(str(error).split())[:300]}): '
            'try again, or pass a folder.') from error
