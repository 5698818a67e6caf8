"""fdsr's registries, scope ``fdsr``.

They are children of mmagic's registries where mmagic is installed, else of mmengine's.
A component registers itself here, in this project or in a package of its own; configs
refer to it as ``type='fdsr.Name'``, and to mmagic's components as ``mmagic.Name``.
"""

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Optional, Type

from mmengine import registry as _mmengine
from mmengine.registry import DefaultScope, Registry

from fdsr import openmmlab

SCOPE = 'fdsr'
PLUGIN_GROUP = 'fdsr.plugins'

_DATASETS = ('fdsr.datasets.synthetic_faces', 'fdsr.datasets.face_manifest',
             'fdsr.datasets.vggface2')
# Importing these registers every component of the project.
_COMPONENT_MODULES = (
    *_DATASETS,
    'fdsr.datasets.transforms',
    'fdsr.engine.hooks',
    'fdsr.engine.loops',
    'fdsr.engine.optim',
    'fdsr.engine.sampler',
    'fdsr.engine.visualizer',
    'fdsr.evaluation',
    'fdsr.landmarks',
    'fdsr.models.backbones',
    'fdsr.models.discriminators',
    'fdsr.models.losses',
    'fdsr.models.restorers',
)


class FdsrRegistry(Registry):
    """A registry that suggests the nearest names for a mistyped one."""

    def get(self, key: str) -> Optional[Type]:
        """Finds a registered object by ``Name`` or ``scope.Name``.

        Of mmagic, only the module that defines the name is imported.

        Raises:
            KeyError: nothing has that name; the message lists the nearest names.
            ImportError: the name is one of mmagic's, which cannot be imported.
        """
        scope, name = self.split_scope_key(key)
        if scope == 'mmagic':
            if _mmagic is None:
                raise ImportError(f'{key!r} cannot be built. {_without_mmagic}')
            found = openmmlab.find_component(self, name, import_all=True)
        else:
            try:
                found = super().get(key)
            except RuntimeError:  # mmengine: not an import path either
                found = None
            if found is None and scope is None:
                found = openmmlab.find_component(self, name)
        if found is None:
            raise KeyError(self._explain_missing(key))
        return found

    def _explain_missing(self, key: str) -> str:
        known = self._known_names(key)
        name = key.rpartition('.')[2]
        by_bare_name = {full.rpartition('.')[2].lower(): full for full in known}
        near = difflib.get_close_matches(name.lower(), by_bare_name, n=3, cutoff=0.6)
        near = [by_bare_name[bare] for bare in near]
        hint = f' Did you mean {", ".join(map(repr, near))}?' if near else ''
        without = '' if _mmagic is not None else f' {_without_mmagic}'
        return (
            f'{key!r} is not a registered {self.name}.{hint} '
            f'Write {SCOPE}.Name for components of this project and mmagic.Name for '
            f"mmagic's; a plugin needs an entry point in the group {PLUGIN_GROUP!r} "
            f"or a line in the config's custom_imports.{without}")

    def _known_names(self, key: str) -> list:
        names, registry = [], self
        while registry is not None:
            known = (openmmlab.component_names(registry)
                     if registry.scope == 'mmagic' else registry.module_dict)
            names += [f'{registry.scope}.{name}' for name in known
                      if f'{registry.scope}.{name}' != key]
            registry = registry.parent
        return names


try:
    _mmagic, _without_mmagic = openmmlab.import_mmagic_registry(), ''
except ImportError as _error:
    _mmagic, _without_mmagic = None, str(_error)


def _child(kind: str, *locations: str) -> FdsrRegistry:
    """Returns a child of mmagic's registry of a kind, or of mmengine's.

    Args:
        kind: name of the registry.
        *locations: modules to import when a component is first looked up.
    """
    if hasattr(_mmagic, kind):
        parent = getattr(_mmagic, kind)
    else:
        parent = getattr(_mmengine, 'EVALUATOR' if kind == 'EVALUATORS' else kind)
    return FdsrRegistry(
        parent.name, parent=parent, scope=SCOPE, locations=list(locations))


DATA_SAMPLERS = _child('DATA_SAMPLERS')
DATASETS = _child('DATASETS', *_DATASETS)
EVALUATORS = _child('EVALUATORS')
FUNCTIONS = _child('FUNCTIONS', 'fdsr.datasets.base')
HOOKS = _child('HOOKS')
INFERENCERS = _child('INFERENCERS')
#: Neither mmagic nor mmengine has this kind of component.
LANDMARKS = FdsrRegistry('landmark detector', scope=SCOPE)
LOG_PROCESSORS = _child('LOG_PROCESSORS')
LOOPS = _child('LOOPS')
METRICS = _child('METRICS')
MODELS = _child('MODELS', 'fdsr.models.backbones')
MODEL_WRAPPERS = _child('MODEL_WRAPPERS')
OPTIMIZERS = _child('OPTIMIZERS')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS')
RUNNERS = _child('RUNNERS')
RUNNER_CONSTRUCTORS = _child('RUNNER_CONSTRUCTORS')
TASK_UTILS = _child('TASK_UTILS')
TRANSFORMS = _child('TRANSFORMS', 'fdsr.datasets.transforms')
VISBACKENDS = _child('VISBACKENDS')
VISUALIZERS = _child('VISUALIZERS')
WEIGHT_INITIALIZERS = _child('WEIGHT_INITIALIZERS')


def require_training() -> None:
    """Checks that training and measuring are possible.

    Raises:
        ImportError: mmagic, or what it needs, is missing; the message says how to
            install it.
    """
    if _mmagic is None:
        raise ImportError(
            f'Training and measuring need more than restoring does. {_without_mmagic}')


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
    """Registers every component, plugins included, and sets the default scope.

    Args:
        init_default_scope: make ``fdsr`` mmengine's default scope, so that configs
            can omit the prefix of this project's components.

    Raises:
        ImportError: the packages of the extra ``train`` are missing.
    """
    require_training()
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
