"""fdsr's registries: children of mmagic's, scope ``fdsr``.

A component registers itself into one of these, in this project or in a package of
its own, and is then named by ``type='fdsr.Name'`` in a config. mmagic's components
are named ``mmagic.Name``.
"""

import difflib
import warnings
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Optional, Type

from mmagic import registry as _mmagic
from mmengine.registry import FUNCTIONS as _MMENGINE_FUNCTIONS
from mmengine.registry import INFERENCERS as _MMENGINE_INFERENCERS
from mmengine.registry import DefaultScope, Registry

SCOPE = 'fdsr'
PLUGIN_GROUP = 'fdsr.plugins'

# Importing these makes every component of the project known.
_COMPONENT_MODULES = (
    'fdsr.datasets',
    'fdsr.datasets.transforms',
    'fdsr.engine.hooks',
    'fdsr.engine.loops',
    'fdsr.engine.optim',
    'fdsr.engine.sampler',
    'fdsr.evaluation',
    'fdsr.landmarks',
    'fdsr.models.backbones',
    'fdsr.models.discriminators',
    'fdsr.models.losses',
    'fdsr.models.restorers',
)


class FdsrRegistry(Registry):
    """A registry whose look-up says what a mistyped name may have meant."""

    def get(self, key: str) -> Optional[Type]:
        """Finds a registered object by ``Name`` or ``scope.Name``.

        Raises:
            KeyError: nothing has that name; the message lists the nearest names.
        """
        try:
            found = super().get(key)
        except RuntimeError as error:  # mmengine: the name is no import path either
            raise KeyError(self._explain_missing(key)) from error
        if found is None:
            raise KeyError(self._explain_missing(key))
        return found

    def _explain_missing(self, key: str) -> str:
        known = self._known_names()
        name = key.rpartition('.')[2]
        by_bare_name = {full.rpartition('.')[2].lower(): full for full in known}
        near = difflib.get_close_matches(name.lower(), by_bare_name, n=3, cutoff=0.6)
        near = [by_bare_name[bare] for bare in near]
        hint = f' Did you mean {", ".join(map(repr, near))}?' if near else ''
        return (
            f'{key!r} is not a registered {self.name}.{hint} '
            f'Components of this project are written {SCOPE}.Name, those of mmagic '
            f'mmagic.Name; a plugin has to be installed with an entry point in the '
            f'group {PLUGIN_GROUP!r} or be named in the config\'s custom_imports.')

    def _known_names(self) -> list:
        names, registry = [], self
        while registry is not None:
            names += [f'{registry.scope}.{name}' for name in registry.module_dict]
            registry = registry.parent
        return names


def _child_of(parent: Registry) -> FdsrRegistry:
    return FdsrRegistry(parent.name, parent=parent, scope=SCOPE)


DATA_SAMPLERS = _child_of(_mmagic.DATA_SAMPLERS)
DATASETS = _child_of(_mmagic.DATASETS)
EVALUATORS = _child_of(_mmagic.EVALUATORS)
FUNCTIONS = _child_of(_MMENGINE_FUNCTIONS)
HOOKS = _child_of(_mmagic.HOOKS)
INFERENCERS = _child_of(_MMENGINE_INFERENCERS)
#: Of our own: mmagic has no such kind of component.
LANDMARKS = FdsrRegistry('landmark detector', scope=SCOPE)
LOG_PROCESSORS = _child_of(_mmagic.LOG_PROCESSORS)
LOOPS = _child_of(_mmagic.LOOPS)
METRICS = _child_of(_mmagic.METRICS)
MODELS = _child_of(_mmagic.MODELS)
MODEL_WRAPPERS = _child_of(_mmagic.MODEL_WRAPPERS)
OPTIMIZERS = _child_of(_mmagic.OPTIMIZERS)
OPTIM_WRAPPERS = _child_of(_mmagic.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child_of(_mmagic.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child_of(_mmagic.PARAM_SCHEDULERS)
RUNNERS = _child_of(_mmagic.RUNNERS)
RUNNER_CONSTRUCTORS = _child_of(_mmagic.RUNNER_CONSTRUCTORS)
TASK_UTILS = _child_of(_mmagic.TASK_UTILS)
TRANSFORMS = _child_of(_mmagic.TRANSFORMS)
VISBACKENDS = _child_of(_mmagic.VISBACKENDS)
VISUALIZERS = _child_of(_mmagic.VISUALIZERS)
WEIGHT_INITIALIZERS = _child_of(_mmagic.WEIGHT_INITIALIZERS)


def load_plugins() -> None:
    """Imports every installed package that announces itself as a plugin.

    Raises:
        ImportError: a plugin cannot be imported; the message names it.
    """
    for plugin in entry_points(group=PLUGIN_GROUP):
        try:
            plugin.load()
        except Exception as error:
            raise ImportError(
                f'The fdsr plugin {plugin.name!r} ({plugin.value}) cannot be loaded: '
                f'{error!r}. Mend it, or uninstall the package that brings it.'
            ) from error


def register_all(init_default_scope: bool = True) -> None:
    """Makes every component known, plugins included, and sets the default scope.

    Args:
        init_default_scope: make ``fdsr`` mmengine's default scope, so that configs
            may leave the prefix of our own components out.
    """
    with warnings.catch_warnings():
        # diffusers, which mmagic imports, deprecates its own module paths
        warnings.simplefilter('ignore', FutureWarning)
        for name in _COMPONENT_MODULES:
            import_module(name)
    from fdsr.weights import install_safe_loader
    install_safe_loader()
    load_plugins()
    if init_default_scope:
        set_default_scope()


def set_default_scope() -> None:
    """Makes ``fdsr`` the default scope of mmengine's registries."""
    current: Any = DefaultScope.get_current_instance()
    if current is None or current.scope_name != SCOPE:
        name = SCOPE
        while DefaultScope.check_instance_created(name):
            name += '_'
        DefaultScope.get_instance(name, scope_name=SCOPE)
