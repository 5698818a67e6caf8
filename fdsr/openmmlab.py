"""Lazy imports of mmagic, the optional parent of the registries.

When any component of mmagic 1.2 is used, mmagic imports all of its networks and with
them diffusers, transformers and the compiled operators of mmcv. This module

- defers the ``__init__`` of mmagic's packages until one of their names is read, so that
  ``mmagic.evaluation.metrics.psnr`` can be imported alone;
- finds the module that defines a registered name without importing the others;
- replaces ``mmcv.ops`` by placeholders if mmcv has no operators (mmcv-lite). A
  placeholder raises an ``ImportError`` when it is used, not when it is imported.
"""

import importlib.util
import re
import sys
import warnings
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib import import_module
from importlib._bootstrap import _ModuleLockManager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator, Sequence

INSTALL_TRAINING = 'pip install "fdsr[train]"'
# Decorators, and the name of the decorated object; quoted names are aliases.
_REGISTRATION = re.compile(
    r'^(@\w+\.register_module\((?:.*\n)(?:[@ ].*\n)*)(?:class|def) (\w+)', re.MULTILINE)
_QUOTED = re.compile(r'[\'"]([\w-]+)[\'"]')


class MissingOperator:
    """Base of the placeholders for the compiled operators of mmcv.

    It can be imported and subclassed. Instantiating or calling it raises an
    ``ImportError`` that names the operator.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        operator = next(cls.__name__ for cls in type(self).__mro__
                        if cls.__module__.startswith('mmcv.ops'))
        raise ImportError(
            f'{operator} is a compiled operator of mmcv, and the installed mmcv has '
            'none (mmcv-lite). Install a full mmcv for this version of torch, see '
            'https://mmcv.readthedocs.io, or use another network.')


class _PlaceholderModule(ModuleType):
    """Module with a placeholder for every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        placeholder = type(name, (MissingOperator,), {'__module__': self.__name__})
        setattr(self, name, placeholder)
        return placeholder


class _DeferredPackage(ModuleType):
    """Package whose ``__init__`` runs when one of its names is first read."""

    def __getattr__(self, name: str) -> Any:
        run_deferred(self)
        if type(self) is _DeferredPackage:  # this thread is running its __init__
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        return getattr(self, name)


class _Loader:
    """Loader that creates modules of a given class instead of running their code.

    Args:
        module_class: the class.
        original: the loader of the code, which remains visible to tools that read
            source and data files.
    """

    def __init__(self, module_class: type, original: Any = None) -> None:
        self.module_class, self.original = module_class, original

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        if self.original is not None:
            module.__spec__.loader = module.__loader__ = self.original
        module.__class__ = self.module_class


class _Finder:
    """Finder of mmagic's packages, deferred, and of placeholders for ``mmcv.ops``."""

    def find_spec(self, name: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if (name + '.').startswith('mmcv.ops.'):
            mmcv = sys.modules['mmcv']
            if PathFinder.find_spec('mmcv._ext', mmcv.__path__) is None:
                return ModuleSpec(name, _Loader(_PlaceholderModule), is_package=True)
        if not name.startswith('mmagic.'):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.submodule_search_locations is not None:
            spec.loader = _Loader(_DeferredPackage, spec.loader)
        return spec


def install() -> None:
    """Enables lazy imports of mmagic in this process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


@contextmanager
def hidden(name: str) -> Iterator[None]:
    """Hides an installed package from imports inside of the block.

    It has no effect on a package that has been imported before.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None
    try:
        yield
    finally:
        del sys.modules[name]


def run_deferred(package: ModuleType) -> None:
    """Runs the ``__init__`` of a deferred package once.

    Other threads wait for it. Python's own import lock is used, because it detects
    deadlocks between threads.
    """
    with _ModuleLockManager(package.__name__):
        if type(package) is not _DeferredPackage or '_is_running' in vars(package):
            return
        package._is_running = True
        try:
            with warnings.catch_warnings():
                # diffusers itself imports module paths that it deprecates
                warnings.simplefilter('ignore', FutureWarning)
                package.__loader__.exec_module(package)
            package.__class__ = ModuleType
        finally:
            del package._is_running


def import_mmagic_registry() -> ModuleType:
    """Imports ``mmagic.registry`` and enables lazy imports of the rest of mmagic.

    Raises:
        ImportError: mmagic or one of its requirements is missing or incompatible; the
            message names the package and the command that installs it.
    """
    if not is_installed('mmagic'):
        raise ImportError(f'mmagic is not installed: {INSTALL_TRAINING}.')
    install()
    try:
        registry = import_module('mmagic.registry')
    except Exception as error:  # mmagic's version check raises an AssertionError
        raise ImportError(
            f'mmagic is installed but cannot be imported ({error}): '
            f'{INSTALL_TRAINING}.') from error
    for node in vars(registry).values():
        if getattr(node, 'scope', None) == 'mmagic':
            node.import_from_location = partial(_import_locations, node)
    return registry


def is_installed(name: str) -> bool:
    """Returns True if a module can be found, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # missing parent, or a module without a spec
        return False


def _import_locations(registry: Any) -> None:
    """Imports all components of a registry of mmagic, as ``Registry`` does."""
    for location in registry._locations:
        run_deferred(import_module(location))
    registry._imported = True


def find_component(registry: Any, name: str, import_all: bool = False) -> Any:
    """Imports a component of mmagic by name.

    Args:
        registry: registry of fdsr, whose parents are searched.
        name: name without scope.
        import_all: import everything if the name is in none of mmagic's files, because
            mmagic registers the classes of diffusers in a loop.

    Returns:
        The component, or None if mmagic does not have it.
    """
    while registry is not None and registry.scope != 'mmagic':
        registry = registry.parent
    if registry is None:
        return None
    if name in component_names(registry):
        import_module(component_names(registry)[name])
    if _registered(registry, name) is None and import_all:
        registry.import_from_location()
    return _registered(registry, name)


def _registered(registry: Any, name: str) -> Any:
    """Returns the object of a name in a registry or its parents, or None."""
    while registry is not None and name not in registry.module_dict:
        registry = registry.parent
    return None if registry is None else registry.module_dict[name]


def component_names(registry: Any) -> dict[str, str]:
    """Returns the registered names in mmagic's files, each with its module.

    The files are read, not imported. The result may include names of another registry
    with the same location.
    """
    return _scan(tuple(registry._locations))


@lru_cache(maxsize=None)
def _scan(locations: tuple[str, ...]) -> dict[str, str]:
    names = {}
    for location in locations:
        folder = Path(import_module(location).__path__[0])
        for file in sorted(folder.rglob('*.py')):
            parts = file.relative_to(folder).with_suffix('').parts
            module = '.'.join((location, *parts)).removesuffix('.__init__')
            for head, name in _REGISTRATION.findall(file.read_text(encoding='utf-8')):
                names.update(dict.fromkeys([name, *_QUOTED.findall(head)], module))
    return names
