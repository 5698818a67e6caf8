"""Builds the network that a file describes, restricted to registered networks.

mmengine resolves a ``type`` by importing the module it names, so a config from a file
must be checked first. This module looks up every ``type`` in the config, at any depth,
by its exact name before it builds anything.
"""

import inspect
import re
from pathlib import Path
from typing import Any, Mapping

from torch import nn

from fdsr.models.files.budget import Budget
from fdsr.models.files.description import check_data
from fdsr.models.files.fitting import CheckpointMismatch
from fdsr.models.files.limits import check_limits, check_number
from fdsr.registry import MODELS, SCOPE, load_plugins
from fdsr.weights import RefusedCheckpointError, weights_follow
from fdsr.weights.walking import short

#: mmagic's super-resolution networks that do not download or load other files.
MMAGIC_NETWORKS = frozenset({
    'DICNet', 'EDSRNet', 'MSRResNet', 'NAFBaseline', 'NAFNet', 'RDNNet', 'RRDBNet',
    'Restormer', 'SRCNNNet', 'SwinIRNet'})
#: Exceptions with a self-explanatory message, passed on unchanged.
_EXPLAINED = (FileNotFoundError, ImportError, RefusedCheckpointError,
              CheckpointMismatch)


def build_network(source: str | Path, config: dict, budget: Budget) -> nn.Module:
    """Builds a network from the config in a file.

    Args:
        source: the file, for messages.
        config: ``type`` and arguments; plain values.
        budget: limit on what the network can allocate.

    Returns:
        The network with initial values; the caller loads the file's values.

    Raises:
        CheckpointMismatch: the config names something other than a registered network,
            has unsupported arguments, or needs more memory than ``budget``.
        FileNotFoundError: an external file is missing.
        RefusedCheckpointError: an external file is not safe to load.
        ImportError: a package that the network needs is missing.
    """
    checked = _check_config(source, config, budget)
    network = _class_of(checked.pop('type'))
    try:
        with weights_follow(), budget:
            built = network(**checked)
        if not isinstance(built, nn.Module):
            raise TypeError(f'expected a network, found a {type(built).__name__}')
        return built
    except _EXPLAINED:
        raise
    except Exception as error:  # constructors raise any type for invalid values
        # a hash would disclose the contents of a local file to the model file's author
        reason = _SHA256.sub('(a hash)', ' '.join(str(error).split())[:500])
        raise CheckpointMismatch(
            f'{source}: {network.__name__} cannot be built from the config in the '
            f'file: {type(error).__name__}: {reason}') from error


def _check_config(source: str | Path, config: dict, budget: Budget) -> dict:
    """Checks a config and returns a copy in which every type has its full name.

    Widens the budget if there is a plugin.
    """
    check_data(source, config, 'config')
    if 'type' not in config:
        raise CheckpointMismatch(
            f'{source}: the config of the backbone has no type, so the network is '
            f'unknown. {_ALLOWED}')
    return _checked(source, config, budget)


def check_loadable(source: str | Path, config: dict, network: nn.Module,
                   budget: Budget) -> None:
    """Checks, before a network is saved, that the file can be loaded again.

    Args:
        source: the file.
        config: config to save.
        network: the network that it describes.
        budget: limit on what the network can allocate when it is loaded.

    Raises:
        CheckpointMismatch, ImportError: it cannot, see ``build_network``.
    """
    _check_config(source, config, budget)
    needed = sum(value.numel() for values in (network.parameters(), network.buffers())
                 for value in values)
    if needed > budget.values:
        raise CheckpointMismatch(
            f'{source}: {type(network).__name__} has {needed} values, most of which '
            f'are not saved; the limit for a file of this size is {budget.values}. '
            'Register fewer buffers with persistent=False.')


_SHA256 = re.compile(r'\b[0-9a-fA-F]{64}\b')
_ALLOWED = (
    f'Expected {SCOPE}.Name of a registered backbone, or mmagic.Name of one of '
    f'{", ".join(sorted(MMAGIC_NETWORKS))}. A backbone of another package needs an '
    'entry point, see docs/plugins.md.')


def _checked(source: str | Path, value: Any, budget: Budget,
             where: str = 'config', limited: bool = True) -> Any:
    """Returns a copy of a part of a config in which every type has its full name.

    ``limited``: whether the part belongs to a network of this project or mmagic.
    """
    if isinstance(value, (list, tuple)):
        return type(value)(_checked(source, item, budget, f'{where}[{index}]', limited)
                           for index, item in enumerate(value))
    if not isinstance(value, dict):
        if limited:
            check_number(source, where, value)
        return value
    full_name = None
    if 'type' in value:
        full_name = _full_name(source, where, value['type'])
        limited = not _is_of_plugin(full_name)
        if not limited:
            budget.widen()
    if limited:
        check_limits(source, where, full_name, value, budget)
    for key, item in value.items():
        if key == '_scope_' or key == 'init_cfg' and item is not None:
            raise CheckpointMismatch(
                f'{source}: {where} has {key!r}, which a model file cannot set. Remove '
                'it from the config of the backbone.')
    checked = {key: _checked(source, item, budget, f'{where}.{key}', limited)
               for key, item in value.items() if key != 'type'}
    if full_name is not None:
        checked['type'] = full_name
        _check_arguments(source, where, checked)
    return checked


def _full_name(source: str | Path, where: str, kind: Any) -> str:
    """Returns ``scope.Name`` of an allowed network."""
    scope, _, name = kind.rpartition('.') if isinstance(kind, str) else ('?', '', '')
    if scope in ('', SCOPE):
        if name not in MODELS.module_dict:
            MODELS.import_from_location()
        if name not in MODELS.module_dict:
            load_plugins()
        if _is_network(MODELS.module_dict.get(name)):
            return f'{SCOPE}.{name}'
    elif scope == 'mmagic' and name in MMAGIC_NETWORKS:
        return kind
    raise CheckpointMismatch(
        f'{source}: {where}.type is {short(kind)}, which cannot be built from a model '
        f'file. {_ALLOWED}')


def _is_network(found: Any) -> bool:
    """Returns whether a registered object is a network and not a restorer or loss.

    The networks of this project are those in ``fdsr.models.backbones``. A plugin's
    network is recognized by its signature, ``net(lr)`` or ``net(lr, boxes)``.
    """
    if inspect.isfunction(found):  # a factory function of a plugin
        return found.__module__.split('.')[0] != SCOPE
    if not isinstance(found, type) or not issubclass(found, nn.Module) or any(
            base.__module__.startswith('mmengine.model.base_model')
            for base in found.__mro__):  # importing these bases takes seconds
        return False
    if found.__module__.split('.')[0] == SCOPE:
        return found.__module__.startswith('fdsr.models.backbones.')
    inputs = list(_parameters_of(found.forward).values())[1:]
    required = [one for one in inputs if one.default is one.empty
                and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return len(required) <= 1 + bool(getattr(found, 'uses_boxes', False))


def _is_of_plugin(full_name: str) -> bool:
    """Returns whether a network comes from a plugin."""
    scope, _, name = full_name.rpartition('.')
    return (scope == SCOPE
            and MODELS.module_dict[name].__module__.split('.')[0] != SCOPE)


def _parameters_of(called: Any) -> Mapping[str, inspect.Parameter]:
    """Returns the parameters of a function or class, empty if it has no signature."""
    try:
        return inspect.signature(called).parameters
    except (TypeError, ValueError):  # a property, or a built-in type
        return {}


def _class_of(full_name: str) -> Any:
    """Returns the class, or a plugin's function, of a name from ``_full_name``."""
    scope, _, name = full_name.rpartition('.')
    return MODELS.module_dict[name] if scope == SCOPE else MODELS.get(full_name)


def _check_arguments(source: str | Path, where: str, config: dict) -> None:
    """Checks arguments against a constructor's signature."""
    arguments = {key: value for key, value in config.items() if key != 'type'}
    try:
        signature = inspect.signature(_class_of(config['type']))
    except ValueError:  # a built-in type
        return
    try:
        bound = signature.bind(**arguments)
    except TypeError as error:
        raise CheckpointMismatch(
            f'{source}: {where}: {config["type"]}: {error}. It accepts '
            f'{", ".join(signature.parameters)}. The file is from another version.'
        ) from error
    for name, parameter in signature.parameters.items():
        # mmagic ignores them; a plugin may forward them
        if (parameter.kind is parameter.VAR_KEYWORD and name in bound.arguments
                and not config['type'].startswith(f'{SCOPE}.')):
            raise CheckpointMismatch(
                f'{source}: {where}: {config["type"]} has unexpected arguments '
                f'{", ".join(bound.arguments[name])}. The file is from another version.'
            )
