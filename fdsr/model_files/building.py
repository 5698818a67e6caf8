"""Building the network that a file describes: registered networks and nothing else.

mmengine resolves a ``type`` by importing what it names, so that a config from a file
must not reach it unchecked. Every ``type`` in the config, at any depth, is looked up
here by exact name before anything is built.
"""

import inspect
from pathlib import Path
from typing import Any

from torch import nn

from fdsr.model_files.budget import Budget
from fdsr.model_files.description import MAX_SCALE, MAX_SIZE, check_plain
from fdsr.model_files.fitting import CheckpointMismatch
from fdsr.registry import MODELS, SCOPE, load_plugins
from fdsr.weights import RefusedCheckpointError, weights_follow

#: mmagic's networks from LR to SR that download nothing and load no other file.
MMAGIC_NETWORKS = frozenset({
    'DICNet', 'EDSRNet', 'MSRResNet', 'NAFBaseline', 'NAFNet', 'RDNNet', 'RRDBNet',
    'Restormer', 'SRCNNNet', 'SwinIRNet'})
#: Arguments that cost time or memory without needing values in the file.
_LIMITS = {
    'scale': MAX_SCALE, 'upscale': MAX_SCALE, 'upscale_factor': MAX_SCALE,
    'steps': 64, 'num_steps': 64, 'size': MAX_SIZE, 'img_size': 512, 'window_size': 16}
#: Raised while a network is built, with a message of their own.
_EXPLAINED = (FileNotFoundError, ImportError, RefusedCheckpointError,
              CheckpointMismatch)


def build_network(source: str | Path, config: dict, budget: Budget) -> nn.Module:
    """Builds the network of a file's config.

    Args:
        source: the file, for messages.
        config: ``type`` and arguments; plain values.
        budget: what the network may allocate.

    Returns:
        The network with values that are to be replaced by the file's.

    Raises:
        CheckpointMismatch: the config names something that is no registered network,
            has arguments that it does not take, or needs more memory than ``budget``.
        FileNotFoundError: an external file is missing.
        RefusedCheckpointError: an external file is refused.
        ImportError: a package that the network needs is missing.
    """
    check_plain(source, config)
    if 'type' not in config:
        raise CheckpointMismatch(
            f'{source}: the config of the backbone has no type, so it does not say '
            f'which network to build. {_ALLOWED}')
    checked = _checked(source, config)
    network = _class_of(checked.pop('type'))
    try:
        with weights_follow(), budget:
            return network(**checked)
    except _EXPLAINED:
        raise
    except Exception as error:  # whatever a constructor says of values that do not fit
        reason = ' '.join(str(error).split())[:500]
        raise CheckpointMismatch(
            f'{source}: {network.__name__} cannot be built from the config in the '
            f'file: {type(error).__name__}: {reason}') from error


_ALLOWED = (
    f'Expected {SCOPE}.Name of a registered backbone, or mmagic.Name of one of '
    f'{", ".join(sorted(MMAGIC_NETWORKS))}. A backbone of another package needs an '
    'entry point, see docs/plugins.md.')


def _checked(source: str | Path, value: Any, where: str = 'config') -> Any:
    """Returns a copy of a config in which every type has its full name.

    Raises:
        CheckpointMismatch: see ``build_network``.
    """
    if isinstance(value, (list, tuple)):
        return type(value)(_checked(source, item, f'{where}[{index}]')
                           for index, item in enumerate(value))
    if not isinstance(value, dict):
        return value
    for key, item in value.items():
        if key.startswith('_') or key == 'init_cfg' and item is not None:
            raise CheckpointMismatch(
                f'{source}: {where} has {key!r}, which a model file cannot set. The '
                'file was not written by this project, or was changed since.')
        _check_limit(source, f'{where}.{key}', _LIMITS.get(key), item)
    checked = {key: _checked(source, item, f'{where}.{key}')
               for key, item in value.items()}
    if 'type' in checked:
        checked['type'] = _full_name(source, where, checked['type'])
        _check_arguments(source, where, checked)
    return checked


def _check_limit(source: str | Path, where: str, limit: int | None, value: Any) -> None:
    if limit is None or value is None:
        return
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if type(item) not in (int, float) or not 0 < item <= limit:
            raise CheckpointMismatch(
                f'{source}: {where}: expected a number above 0 and up to {limit}, '
                f'found {item!r}. More would take memory or time beyond any use.')


def _full_name(source: str | Path, where: str, kind: Any) -> str:
    """Returns ``scope.Name`` of an allowed network.

    Raises:
        CheckpointMismatch: it is not allowed, or there is none.
    """
    scope, _, name = kind.rpartition('.') if isinstance(kind, str) else ('?', '', '')
    if scope in ('', SCOPE):
        if name not in MODELS.module_dict:
            _register(name)
        if _is_network(MODELS.module_dict.get(name)):
            return f'{SCOPE}.{name}'
    elif scope == 'mmagic' and name in MMAGIC_NETWORKS:
        return kind
    raise CheckpointMismatch(
        f'{source}: {where}.type is {kind!r}, which cannot be built from a model file. '
        f'{_ALLOWED}')


def _register(name: str) -> None:
    import fdsr.models.backbones  # noqa: F401
    if name not in MODELS.module_dict:
        load_plugins()


def _is_network(found: Any) -> bool:
    """Whether a registered object is a network, and no restorer, loss or the like.

    In this project the networks are those of ``fdsr.models.backbones``. A plugin's may
    be anywhere; it is known by how it is called: ``net(lr)`` or ``net(lr, boxes)``.
    """
    if not isinstance(found, type) or not issubclass(found, nn.Module) or any(
            base.__module__.startswith('mmengine.model.base_model')
            for base in found.__mro__):  # importing these bases takes seconds
        return False
    if found.__module__.split('.')[0] == SCOPE:
        return found.__module__.startswith('fdsr.models.backbones.')
    inputs = list(inspect.signature(found.forward).parameters.values())[1:]
    required = [one for one in inputs if one.default is one.empty
                and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return len(required) <= 1 + bool(getattr(found, 'uses_boxes', False))


def _class_of(full_name: str) -> type:
    """Returns the class of a name that ``_full_name`` has checked.

    Raises:
        ImportError: mmagic, or a package that it needs, is missing.
    """
    scope, _, name = full_name.rpartition('.')
    return MODELS.module_dict[name] if scope == SCOPE else MODELS.get(full_name)


def _check_arguments(source: str | Path, where: str, config: dict) -> None:
    """Checks arguments against a constructor's signature.

    Raises:
        CheckpointMismatch: one is unknown or missing.
    """
    arguments = {key: value for key, value in config.items() if key != 'type'}
    signature = inspect.signature(_class_of(config['type']))
    try:
        bound = signature.bind(**arguments)
    except TypeError as error:
        raise CheckpointMismatch(
            f'{source}: {where}: {config["type"]} does not fit: {error}. It takes '
            f'{", ".join(signature.parameters)}; the file is of another version.'
        ) from error
    for name, parameter in signature.parameters.items():
        # a plugin's may hand them on, mmagic's ignore them
        if (parameter.kind is parameter.VAR_KEYWORD and name in bound.arguments
                and not config['type'].startswith(f'{SCOPE}.')):
            raise CheckpointMismatch(
                f'{source}: {where}: {config["type"]} does not know the arguments '
                f'{", ".join(bound.arguments[name])}. The file is of another version.')
