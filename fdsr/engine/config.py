"""Reads configs and applies the command line's overrides."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from fdsr.engine.config_options import merge_options
from fdsr.utils.configs import read_config
from fdsr.utils.files import temporary_path

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def load_config(path: str | Path, data_root: str | Sequence[str] | None = None,
                work_dir: str | None = None,
                cfg_options: dict[str, Any] | None = None) -> Config:
    """Reads a config and applies the options that all tools share.

    Args:
        path: the config file.
        data_root: replaces ``data_root`` of every dataset that has one. With several
            roots, each loader's datasets get one each, in order.
        work_dir: output folder of the run; default: the config's, or
            :func:`default_work_dir`.
        cfg_options: values by dotted key; they override everything else. See
            :func:`~fdsr.engine.config_options.merge_options`.

    Returns:
        The config with ``work_dir`` set; the folder is created.

    Raises:
        FileNotFoundError: the config does not exist.
        KeyError: ``cfg_options`` has an unknown key.
        PermissionError: ``work_dir`` cannot be written.
        ValueError: the config is not valid, or a value of ``cfg_options`` is not.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no config at {path}; the project's configs are in configs/.")
    config = read_config(path)
    if data_root is not None:
        _set_roots(config, [data_root] if isinstance(data_root, str) else data_root)
    if cfg_options:
        merge_options(config, cfg_options)
    config.work_dir = work_dir or config.get('work_dir') or default_work_dir(path)
    check_writable(config.work_dir)
    seed = config.get('randomness', {}).get('seed')
    for dataset in datasets_of(config):
        dataset.setdefault('report_dir', config.work_dir)
        if seed is not None:
            dataset.setdefault('seed', seed)
    return config


def _set_roots(config: Config, roots: Sequence[str]) -> None:
    for name in _LOADERS:
        datasets = [] if config.get(name) is None else [
            one for one in _unwrapped(config[name].dataset) if 'data_root' in one]
        if len(roots) > 1 and len(datasets) not in (0, len(roots)):
            raise ValueError(
                f'--data-root was given {len(roots)} times, but {name} reads '
                f'{len(datasets)} dataset(s). Give it once, or once for each of them.')
        for number, dataset in enumerate(datasets):
            dataset.data_root = roots[number if len(roots) > 1 else 0]


@contextmanager
def temporary_config(path: str | Path, **options: Any) -> Iterator[Config]:
    """Yields a config whose work directory is deleted at the end.

    For tools that read data but start no run: only the datasets' reports of skipped
    samples go to the work directory.

    Args:
        path: the config file.
        **options: ``data_root`` and ``cfg_options`` of :func:`load_config`.
    """
    with temporary_path(tempfile.gettempdir(), 'fdsr-config', folder=True) as folder:
        yield load_config(path, **options, work_dir=str(folder))


def default_work_dir(path: str | Path) -> str:
    """Returns the default output folder of a config.

    ``configs/NAME.py`` gives ``work_dirs/NAME`` and ``configs/FOLDER/NAME.py`` gives
    ``work_dirs/FOLDER/NAME``, so configs of a ``configs`` folder never share one. A
    config outside such a folder gives ``work_dirs/NAME``.
    """
    path = Path(path).absolute()
    folder = next((folder for folder in path.parents if folder.name == 'configs'),
                  path.parent)
    return str(Path('work_dirs') / path.relative_to(folder).with_suffix(''))


def datasets_of(config: Config) -> Iterator[ConfigDict]:
    """Yields the dataset configs of all loaders; wrapped ones replace their wrapper."""
    for name in _LOADERS:
        loader = config.get(name)
        if loader is not None:
            if 'dataset' not in loader:
                raise ValueError(f'{config.filename}: {name} has no dataset.')
            yield from _unwrapped(loader.dataset)


def _unwrapped(dataset: ConfigDict) -> Iterator[ConfigDict]:
    # mmengine's ConcatDataset has `datasets`, its other wrappers `dataset`
    inner = dataset.get('datasets') or [dataset.get('dataset')]
    if inner[0] is None or dataset.get('type') == 'fdsr.ConcatFaces':
        yield dataset  # it takes a seed and a report's folder itself
    if inner[0] is None:
        return
    for part in inner:
        yield from _unwrapped(part)


def check_writable(work_dir: str | Path) -> None:
    """Creates a folder and checks that it can be written.

    Raises:
        PermissionError: it cannot be created or written.
    """
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        raise PermissionError(
            f'The work directory {work_dir} cannot be written ({error.strerror}). Name '
            'another one with --work-dir.') from error
