"""Values that the command line sets in a config: parsed, checked and merged."""

import ast
import difflib
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction

#: Top-level keys that are read, besides the arguments of mmengine's Runner.
_TOP = ('custom_imports', 'model_wrapper_cfg', 'rows', 'reference', 'profile',
        'figure_methods', 'title', 'paper_setting')
#: Sections without a type whose reader refuses an unknown key.
_CHECKED_BY_READER = ('rows', 'profile', 'paper_setting')
#: Other sections without a type: all keys that are read.
_SECTIONS = {
    'env_cfg': ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    'env_cfg.mp_cfg': ('mp_start_method', 'opencv_num_threads'),
    'env_cfg.dist_cfg': ('backend', 'timeout', 'init_backend'),
    'auto_scale_lr': ('enable', 'base_batch_size'),
}
_LOADER = ('dataset', 'sampler', 'batch_sampler', 'collate_fn', 'worker_init_fn',
           'num_batch_per_epoch')
#: Arguments that mmengine removes before it calls a component.
_OF_MMENGINE = ('type', '_scope_', '_delete_', 'priority', 'constructor', 'optimizer',
                'paramwise_cfg', 'convert_to_iter_based', 'init_cfg')
#: Registries of the components below a top-level key.
_REGISTRIES = {
    'model': ('MODELS',), 'dataloader': (
        'DATASETS', 'TRANSFORMS', 'DATA_SAMPLERS', 'FUNCTIONS'),
    'optim_wrapper': ('OPTIM_WRAPPERS', 'OPTIMIZERS'),
    'param_scheduler': ('PARAM_SCHEDULERS',), 'hooks': ('HOOKS',), 'cfg': ('LOOPS',),
    'evaluator': ('EVALUATORS', 'METRICS'),
    'visualizer': ('VISUALIZERS', 'VISBACKENDS'),
    'log_processor': ('LOG_PROCESSORS',),
}


class _Keys(dict):
    """Options whose dotted keys have the same beginning."""


def parse_options(options: Iterable[str], name: str = '--cfg-options',
                  ) -> dict[str, Any]:
    """Parses KEY=VALUE to a dict; a later option replaces an earlier one of its key.

    Args:
        options: options from the command line.
        name: name of the argument for messages.

    Raises:
        ValueError: an option has no key, no ``=``, or unbalanced brackets.
    """
    parsed = {}
    for option in options:
        key, equals, value = option.partition('=')
        if not equals or not key.strip():
            raise ValueError(f'{name} takes KEY=VALUE, found {option!r}.')
        try:
            parsed[key.strip()] = parse_value(value)
        except ValueError as error:
            raise ValueError(f'{name} {key}: {error}') from error
    return parsed


def parse_value(text: str) -> Any:
    """Parses a value as mmengine's ``DictAction`` does, and more exactly.

    ``true``, ``false`` and ``none`` may have any case, also in lists. Literals in
    brackets or quotes may contain dicts, spaces and commas. All else is a number or a
    string.

    Raises:
        ValueError: brackets or quotes are unbalanced.
    """
    text = text.strip()
    if text.startswith(('[', '(', '{', '"', "'")):
        try:
            tree = _Words().visit(ast.parse(text, mode='eval'))
            return ast.literal_eval(tree)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            if re.search('[{"\']', text):
                raise ValueError(
                    f'expected a literal of Python, such as "[\'a\', 1]", found {text}.'
                ) from None
    elif ',' not in text:
        return _word(text)
    if any(text.count(left) != text.count(right) for left, right in ('()', '[]')):
        raise ValueError(f'expected balanced brackets, found {text}.')
    # mmengine removes every space; those between two words stay
    return _words(DictAction._parse_iterable(
        re.sub(r'(?<=[^\s,\[(]) +(?=[^\s,\])])', '\0', text)))


def _word(text: str) -> Any:
    value = DictAction._parse_int_float_bool(text)
    return None if isinstance(value, str) and value.lower() == 'none' else value


def _words(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_words, value))
    return _word(value.replace('\0', ' ')) if isinstance(value, str) else value


class _Words(ast.NodeTransformer):
    """Replaces the names in an expression by constants or strings."""

    def visit_Name(self, node: ast.Name) -> ast.Constant:
        return ast.copy_location(ast.Constant(_word(node.id)), node)


def merge_options(config: Config, options: dict[str, Any]) -> None:
    """Sets values of a config by dotted key; an element of a list has its index as key.

    A new key is accepted where it has a meaning: an argument of a component, checked by
    the signature of its class; a component with a type in a section such as
    ``default_hooks``; and the keys that mmengine reads.

    Args:
        config: changed in place.
        options: {dotted key: value}. A dict is merged into that of the config unless it
            has ``_delete_=True``.

    Raises:
        KeyError: a key is unknown; the message lists the nearest names.
        ValueError: a key is below a value that is not a dict or list, or a string
            replaces true or false.
    """
    nested = _Keys()
    for key, value in options.items():
        *parents, last = key.split('.')
        node = nested
        for part in parents:
            if not isinstance(node.get(part), dict):
                node[part] = _Keys()
            node = node[part]
        both = (isinstance(node.get(last), dict) and isinstance(value, dict)
                and not value.get('_delete_'))
        node[last] = _Keys({**node[last], **value}) if both else value
    merged = _merged(config._cfg_dict, nested, ())
    for key in nested:
        config[key] = merged[key]


def _merged(node: Any, options: dict, path: tuple, inside: bool = False) -> Any:
    """Returns a copy of a dict or list of the config with other values.

    ``inside``: whether it lies in a component.
    """
    node = node.copy()
    for key, value in options.items():
        here = '.'.join((*path, str(key)))
        if isinstance(node, list):
            key = _index(node, key, here)
        elif key not in node:
            _check_new_key(node, key, options, path, inside)
        old = node[key] if isinstance(node, list) else node.get(key)
        if isinstance(value, dict) and not value.get('_delete_') and isinstance(
                old, (dict, list)):
            value = _merged(old, value, (*path, str(key)), inside or 'type' in node)
        elif (isinstance(value, _Keys) and old is not None
              and not value.get('_delete_')):
            raise ValueError(f'{here} is {old!r}, which has no keys. Set '
                             f'{here} itself.')
        elif isinstance(value, dict):
            value = ConfigDict({name: value[name] for name in value
                                if name != '_delete_'})
        elif isinstance(old, bool) and isinstance(value, str):
            raise ValueError(f'{here}: expected true or false, found {value!r}.')
        node[key] = value
    return node


def _index(node: list, key: str, here: str) -> int:
    if not str(key).isdecimal() or int(key) >= len(node):
        raise KeyError(f'{here}: expected the index of an element, 0 to '
                       f'{len(node) - 1}, found {key!r}.')
    return int(key)


def _check_new_key(node: dict, key: str, options: dict, path: tuple,
                   inside: bool) -> None:
    """Checks a key that the config does not have.

    Raises:
        KeyError: it has no meaning.
    """
    kind = options.get('type', node.get('type'))
    accepted = _accepted(kind, path, inside)
    value = options[key]
    # a new component of a section, such as default_hooks.ema
    component = path and kind is None and isinstance(value, dict) and 'type' in value
    if accepted is None or key in accepted or component:
        return
    where = '.'.join(path) or 'the config'
    owner = f'{where} ({kind})' if kind else where
    known = sorted({name for name in (*node, *accepted) if name[:1] != '_'})
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    hint = (f'Did you mean {", ".join(map(repr, near))}?' if near
            else f'Its keys are {", ".join(known)}.')
    raise KeyError(f'{owner} has no key {key!r}. {hint}')


def _accepted(kind: Any, path: tuple, inside: bool) -> set[str] | None:
    """Returns the keys that a section or component reads; None: its reader checks."""
    if not path:
        from mmengine.runner import Runner
        return {*inspect.signature(Runner).parameters, *_TOP} - {'cfg'}
    if kind is not None:
        return _arguments(kind, path[0])
    if inside or path[0] in _CHECKED_BY_READER:
        return None
    known = {'type', *_SECTIONS.get('.'.join(path), ())}
    if len(path) == 1 and path[0].endswith('_dataloader'):
        from torch.utils.data import DataLoader
        known |= {*inspect.signature(DataLoader).parameters, *_LOADER}
    elif path == ('randomness',):
        from mmengine.runner import set_random_seed
        known |= {*inspect.signature(set_random_seed).parameters}
    return known


def _arguments(kind: Any, section: str) -> set[str] | None:
    """Returns the arguments of a component; None: unknown, so that it checks them."""
    found = _component(kind, section)
    if found is None:
        return None
    known = set(_OF_MMENGINE)
    if '__signature__' in vars(found):
        return known | {*inspect.signature(found).parameters}
    calls = [parent.__init__ for parent in found.__mro__ if '__init__' in vars(parent)
             ] if inspect.isclass(found) else [found]
    for call in calls[:None if len(calls) == 1 else -1]:  # not that of object
        parameters = inspect.signature(call).parameters.values()
        known |= {parameter.name for parameter in parameters} - {'self'}
        if all(each.kind is not each.VAR_KEYWORD for each in parameters):
            return known
    return None


def _component(kind: Any, section: str) -> Callable | None:
    if not isinstance(kind, str):
        return kind
    from fdsr import registry
    try:
        registry.register_all()
    except ImportError:  # the tool reports it
        return None
    names = next((_REGISTRIES[end] for end in _REGISTRIES if section.endswith(end)), ())
    for name in names:
        try:
            return getattr(registry, name).get(kind)
        except (KeyError, ImportError):
            continue
    return None
