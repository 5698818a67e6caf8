"""Building the network that a file describes: registered networks and nothing else.

mmengine resolves a ``type`` by importing what it names, so that a config from a file
must not reach it unchecked. Every ``type`` in the config, at any depth, is looked up
here by exact name before anything is built.
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

#: mmagic's networks from LR to SR that download nothing and load no other file.
MMAGIC_NETWORKS = frozenset({
    'DICNet', 'EDSRNet', 'MSRResNet', 'NAFBaseline', 'NAFNet', 'RDNNet', 'RRDBNet',
    'Restormer', 'SRCNNNet', 'SwinIRNet'})
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
        CheckpointMismatch: the config names something other than a registered network,
            has arguments that it does not take, or needs more memory than ``budget``.
        FileNotFoundError: an external file is missing.
        RefusedCheckpointError: an external file is refused.
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
    except Exception as error:  # whatever a constructor says of values that do not fit
        # what a file is, that a model file names, is not for its author to find out
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
            f'{source}: the config of the backbone has no type, so it does not say '
            f'which network to build. {_ALLOWED}')
    return _checked(source, config, budget)


def check_loadable(source: str | Path, config: dict, network: nn.Module,
                   budget: Budget) -> None:
    """Checks, before a network is saved, that its file could be loaded.

    Args:
        source: the file.
        config: that is going to be saved.
        network: that it describes.
        budget: what the network may allocate when it is loaded.

    Raises:
        CheckpointMismatch, ImportError: it could not, see ``build_network``.
    """
    _check_config(source, config, budget)
    needed = sum(value.numel() for values in (network.parameters(), network.buffers())
                 for value in values)
    if needed > budget.values:
        raise CheckpointMismatch(
            f'{source}: {type(network).__name__} has {needed} values, of which most '
            f'are not saved; a file of this size may have {budget.values}. Register '
            'fewer buffers with persistent=False.')


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
                f'{source}: {where} has {key!r}, which a model file cannot set. Leave '
                'it out of the config of the backbone.')
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
    """Returns whether a registered object is a network, not a restorer or loss.

    In this project the networks are those of ``fdsr.models.backbones``. A plugin's may
    be anywhere; it is known by how it is called: ``net(lr)`` or ``net(lr, boxes)``.
    """
    if inspect.isfunction(found):  # a plugin's that makes networks
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
    """Returns the parameters of a function or class; none if it does not tell them."""
    try:
        return inspect.signature(called).parameters
    except (TypeError, ValueError):  # a property, or of a built-in type
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
    except ValueError:  # of a built-in type
        return
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
