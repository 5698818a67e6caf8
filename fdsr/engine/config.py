"""Reading configs, and what the command line changes in them."""

import os
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Union

from mmengine.config import Config, ConfigDict

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def load_config(path: Union[str, Path], data_root: Optional[str] = None,
                work_dir: Optional[str] = None,
                cfg_options: Optional[Dict[str, Any]] = None) -> Config:
    """Reads a config and applies the options that every tool has.

    Args:
        path: of the config file.
        data_root: replaces ``data_root`` of every data set that has one.
        work_dir: where the run writes; default: the config's, or
            :func:`default_work_dir`.
        cfg_options: values by dotted key, which win over everything else.

    Returns:
        The config, with ``work_dir`` set and made.

    Raises:
        FileNotFoundError: there is no such config.
        PermissionError: ``work_dir`` cannot be written.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no config at {path}; those of the project are in configs/.')
    config = Config.fromfile(path)
    if data_root is not None:
        for dataset in datasets_of(config):
            if 'data_root' in dataset:
                dataset.data_root = data_root
    if cfg_options:
        config.merge_from_dict(cfg_options)
    config.work_dir = work_dir or config.get('work_dir') or default_work_dir(path)
    check_writable(config.work_dir)
    seed = config.get('randomness', {}).get('seed')
    for dataset in datasets_of(config):
        dataset.setdefault('report_dir', config.work_dir)
        if seed is not None:
            dataset.setdefault('seed', seed)
    return config


def default_work_dir(path: Union[str, Path]) -> str:
    """Where the run of a config writes if nothing else is said.

    ``configs/NAME.py`` gives ``work_dirs/NAME`` and ``configs/FOLDER/NAME.py``
    ``work_dirs/FOLDER/NAME``, so that no two configs of a ``configs`` folder share a
    place; a config that lies elsewhere gives ``work_dirs/NAME``.
    """
    path = Path(path).absolute()
    folder = next((folder for folder in path.parents if folder.name == 'configs'),
                  path.parent)
    return str(Path('work_dirs') / path.relative_to(folder).with_suffix(''))


def datasets_of(config: Config) -> Iterator[ConfigDict]:
    """The data sets of a config's loaders, those inside wrappers in their place."""
    for name in _LOADERS:
        loader = config.get(name)
        if loader is not None:
            yield from _unwrapped(loader.dataset)


def _unwrapped(dataset: ConfigDict) -> Iterator[ConfigDict]:
    """What mmengine's ConcatDataset (datasets) and others (dataset) contain."""
    inner = dataset.get('datasets') or [dataset.get('dataset')]
    if inner[0] is None:
        yield dataset
    else:
        for part in inner:
            yield from _unwrapped(part)


def check_writable(work_dir: Union[str, Path]) -> None:
    """Makes the folder, and sees to it that something can be written there.

    Raises:
        PermissionError: it cannot; names the folder and the remedy.
    """
    probe = Path(work_dir) / f'.writable-{os.getpid()}'
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise PermissionError(
            f'The work directory {work_dir} cannot be written ({error.strerror}). Give '
            f'another one with --work-dir.') from error
