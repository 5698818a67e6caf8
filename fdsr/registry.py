"""Registries of the scope ``fdsr``.

Their parents are mmagic's registries if mmagic is installed, otherwise mmengine's.
Components of fdsr and of plugins register themselves here. Configs refer to them as
``type='fdsr.Name'``, and to mmagic's components as ``type='mmagic.Name'``.
"""

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from mmengine import registry as _mmengine
from mmengine.registry import DefaultScope, Registry

from fdsr import openmmlab

SCOPE = 'fdsr'
PLUGIN_GROUP = 'fdsr.plugins'

_DATASETS = ('fdsr.datasets.synthetic_faces', 'fdsr.datasets.face_manifest',
             'fdsr.datasets.vggface2', 'fdsr.datasets.concat_faces')
# Importing these modules registers every component of fdsr.
_COMPONENT_MODULES = (
    'fdsr.engine.launch',  # the first, because it keeps mmengine from importing more
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
    """Registry that suggests the nearest names for an unknown one."""

    def get(self, key: str) -> type | None:
        """Returns a registered object by ``Name`` or ``scope.Name``.

        For a name of mmagic, only the module that defines it is imported.

        Raises:
            KeyError: the name is unknown; the message lists the nearest names.
            ImportError: the name is in mmagic, which cannot be imported.
        """
        scope, name = self.split_scope_key(key)
        if scope == 'mmagic':
            if _mmagic is None:
                raise ImportError(f'{key!r} cannot be built. {_without_mmagic}')
            found = openmmlab.find_component(self, name, import_all=True)
        else:
            try:
                found = super().get(key)
            except RuntimeError:  # mmengine tries the key as an import path
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
            f'Write {SCOPE}.Name for components of fdsr and mmagic.Name for '
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
    """Returns a child of a registry; ``locations`` are imported on the first lookup."""
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
#: Without a parent, because neither mmagic nor mmengine has landmark detectors.
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
    """Checks that the packages for training and evaluation are installed.

    Raises:
        ImportError: mmagic or one of its requirements is missing; the message contains
            the command that installs it.
    """
    if _mmagic is None:
        raise ImportError(
            f'Training and evaluation need additional packages. {_without_mmagic}')


def load_plugins() -> None:
    """Imports every installed plugin (entry points of the group ``fdsr.plugins``).

    Raises:
        ImportError: a plugin cannot be imported; the message names it.
    """
    for plugin in entry_points(group=PLUGIN_GROUP):
        try:
            plugin.load()
        except Exception as error:
            raise ImportError(
                f'The fdsr plugin {plugin.name!r} ({plugin.value}) cannot be loaded: '
                f'{error!r}. Fix it, or uninstall its package.') from error


def register_all() -> None:
    """Registers every component, including plugins, and sets the default scope.

    Configs can then omit the prefix of fdsr's components.

    Raises:
        ImportError: the packages of the extra ``train`` are missing.
    """
    require_training()
    for name in _COMPONENT_MODULES:
        import_module(name)
    from fdsr.weights import install_safe_loader
    install_safe_loader()
    load_plugins()
    current: Any = DefaultScope.get_current_instance()
    if current is None or current.scope_name != SCOPE:
        name = SCOPE
        while DefaultScope.check_instance_created(name):
            name += '_'
        DefaultScope.get_instance(name, scope_name=SCOPE)
