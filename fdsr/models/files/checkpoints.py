"""Self-describing checkpoints: saving, reading and building their backbones.

A checkpoint is a ``torch.save`` file of plain values, or the same in safetensors::

    {'meta': {'fdsr': {'format': 1,
                       'backbones': {name: config},
                       'default': name,
                       'external': {module path: {name, path, sha256, licence,
                                                  member}},
                       'traits': {name: {scale, size, eye_share, uses_boxes}},
                       'weights_sha256': {name: hash}}, …},
     'state_dict': {'NAME.module.weight': tensor, …}, …}

``external`` lists modules whose values are in a separate file: a frozen VGG, a
dictionary, the teacher of a distillation. The checkpoint records path and SHA-256
instead of a copy of the values. ``traits`` are those of ``fdsr.models.contract``.
Earlier files have ``faces`` instead: size, scale and eye_share of the training set.
``weights_sha256`` are the hashes of ``fdsr.weights.hashing``; earlier ``torch.save``
files have none.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fdsr.models.contract import Traits, add_traits, traits_of
from fdsr.models.files import (
    FORMAT,
    Budget,
    CheckpointMismatch,
    build_network,
    check_external,
    check_hashes,
    check_loadable,
    check_meta,
    check_values,
    find_external,
    relocated,
)
from fdsr.models.files.model_spec import architecture_of, model_spec, sentence_on
from fdsr.utils.files import atomic_path
from fdsr.weights import ExternalWeights, preferring, safe_load, safetensors_files
from fdsr.weights.hashing import KEY, hashes_of, values_sha256
from fdsr.weights.walking import brief, short

#: Maximum length of a chain of files that refer to each other for a backbone.
_MAX_FILES = 4
_HOW_TO_DESCRIBE = (
    'Files written by tools/train.py are self-describing; convert a file of another '
    'project first, see tools/convert_checkpoint.py.')


def external_parts(model: nn.Module) -> dict[str, ExternalWeights]:
    """Returns the outermost modules with values from separate files, by module path.

    A module that is shared, as the encoder of an averaged student is, appears under
    each of its paths, as in the state dict.
    """
    parts: dict[str, ExternalWeights] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        external = getattr(module, 'external_weights', None)
        if external is not None and not _inside(path, parts):
            parts[path] = external
    return parts


def _inside(path: str, parts: dict[str, Any]) -> bool:
    return any(path == part or path.startswith(f'{part}.') for part in parts)


def describe(model: nn.Module, faces: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns ``meta['fdsr']`` for a checkpoint of a model.

    Args:
        model: a model with ``backbone_configs``, {name of the submodule: config}.
        faces: ``size`` and ``eye_share`` of the training faces, for backbones that do
            not set these traits themselves.
    """
    external = {path: asdict(part) for path, part in external_parts(model).items()}
    backbones = {
        name: _with_absolute_paths(config, external)
        for name, config in model.backbone_configs.items()
    }
    trained = [name for name in backbones if name not in external]
    averaged = [name for name in trained if name.endswith('_ema')]
    return dict(format=FORMAT, backbones=backbones,
                default=(averaged or trained or list(backbones))[0], external=external,
                traits={name: _traits(model.get_submodule(name), faces or {})
                        for name in backbones})


def _traits(network: nn.Module, faces: dict[str, Any]) -> dict[str, Any]:
    traits = asdict(traits_of(network))
    for name in ('size', 'eye_share'):
        if traits[name] is None:
            traits[name] = faces.get(name)
    return asdict(Traits(**traits))


def _with_absolute_paths(config: Any, external: dict[str, dict]) -> Any:
    """Makes the paths of external files absolute, so that they are found later.

    ``init_cfg`` is removed, because the file has the values.
    """
    if isinstance(config, dict):
        return {key: _with_absolute_paths(value, external)
                for key, value in config.items() if key != 'init_cfg'}
    if isinstance(config, (list, tuple)):
        return [_with_absolute_paths(value, external) for value in config]
    if isinstance(config, str) and any(
            str(Path(config).expanduser().resolve()) == part['path']
            for part in external.values()):
        return str(Path(config).expanduser().resolve())
    return config


def check_own_description(source: str | Path, model: nn.Module,
                          meta: dict[str, Any]) -> None:
    """Checks before saving that the file of a model can be loaded.

    Args:
        source: the file, or its purpose; for messages.
        model: see ``describe``.
        meta: the file's ``meta``, with ``fdsr``.

    Raises:
        CheckpointMismatch: it cannot; the message lists what to change.
    """
    facts = meta['fdsr']
    try:
        check_meta(source, meta)
        for name, config in facts['backbones'].items():
            if name in facts['external']:
                continue
            network = model.get_submodule(name)
            parts = external_parts(network)
            files = [part.path for part in parts.values() if os.path.isfile(part.path)]
            values = strip_external(network.state_dict(), parts)
            check_loadable(source, config, network, Budget.of(values, files))
    except CheckpointMismatch as error:
        raise CheckpointMismatch(
            'The file could not be loaded again, so nothing is saved: '
            f'{error} Change the config of the network or its metadata; '
            'docs/security.md lists what a model file can contain.') from error


def strip_external(state: dict[str, Tensor],
                   external: dict[str, Any]) -> dict[str, Tensor]:
    """Returns a state dict without the values of external modules."""
    return {key: value for key, value in state.items() if not _inside(key, external)}


def save_backbone(network: nn.Module, config: dict, path: str | Path,
                  name: str = 'generator', spec: dict[str, str | None] | None = None,
                  **meta: Any) -> None:
    """Writes one backbone to a self-describing file, atomically.

    Args:
        network: the backbone.
        config: its config.
        path: path of the file; ``.safetensors`` selects that format.
        name: name of the backbone in the file.
        spec: ``title``, ``description``, ``author`` and further keys of ModelSpec for
            the metadata of a safetensors file; defaults come from the file's name and
            the network.
        **meta: plain values for the file's ``meta``; ``licence`` is the licence of the
            file.

    Raises:
        ModelFileError: the file could not be loaded again.
        OSError: the file cannot be written; no partial file remains.
    """
    import torch
    holder = nn.Module()
    holder.add_module(name, add_traits(network))
    holder.backbone_configs = {name: config}
    facts = describe(holder)
    state = strip_external(holder.state_dict(), facts['external'])
    path = Path(path)
    facts[KEY] = hashes_of(state)
    content = {'meta': {'fdsr': facts, **meta}, 'state_dict': state}
    check_own_description(path, holder, content['meta'])
    try:
        if path.suffix == safetensors_files.SUFFIX:
            safetensors_files.save(path, content['meta'], state, model_spec(**{
                'title': path.stem, 'architecture': architecture_of(config),
                'description': sentence_on(config, facts['traits'][name]),
                'licence': licence_of(content['meta']),
                'size': facts['traits'][name]['size'], **(spec or {})}))
        else:
            with atomic_path(path) as part:
                torch.save(content, part)
    except (OSError, RuntimeError) as error:  # torch raises both on a full disk
        raise OSError(f'{path} cannot be written ({error}). Free disk space, or choose '
                      'another path.') from error


def licence_of(meta: dict[str, Any]) -> str | None:
    """Returns the licence in the ``meta`` of a published or converted file."""
    origin = meta.get('converted_from')
    return meta.get('licence') or (
        origin.get('licence') if isinstance(origin, dict) else None)


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Reads the description and the values of a checkpoint.

    Returns:
        The result of ``describe``, with the ``licence`` of a converted or published
        file, and the state dict.

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointMismatch: the file is not self-describing, or its description is
            invalid.
        RefusedCheckpointError: it contains more than plain values and dense tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no checkpoint at {path}. Train one with tools/train.py, or '
            f'correct the path.')
    content = safe_load(path)
    facts = None
    if isinstance(content, dict) and isinstance(content.get('meta'), dict):
        facts = content['meta'].get('fdsr')
    if not isinstance(facts, dict) or 'state_dict' not in content:
        raise CheckpointMismatch(
            f'{path} is not a self-describing file: meta["fdsr"] or state_dict is '
            f'missing. {_HOW_TO_DESCRIBE}')
    check_meta(path, content['meta'])
    licence = licence_of(content['meta'])
    if licence is not None:
        facts = dict(facts, licence=licence)
    state = content['state_dict']
    if not isinstance(state, dict) or not all(
            isinstance(key, str) and isinstance(value, Tensor)
            for key, value in state.items()):
        raise CheckpointMismatch(
            f'{path}: expected tensors by name in state_dict, found other values. '
            'The file is damaged or was not written by this project.')
    return facts, state


def load_backbone(path: str | Path, name: str | None = None) -> nn.Module:
    """Builds a backbone from a self-describing file and loads its weights.

    Args:
        path: a checkpoint of ``tools/train.py``, or a converted or published file.
        name: name of the backbone in the file; default: the trained one, as moving
            average if available.

    Returns:
        The network in eval mode on the CPU; it maps RGB in [0, 1] to RGB in [0, 1]. Its
        attributes ``scale``, ``size``, ``eye_share`` and ``uses_boxes`` are set, see
        ``fdsr.models.contract``.

    Raises:
        FileNotFoundError: the file, or a file that it refers to, does not exist.
        CheckpointMismatch: the file is not self-describing, has no backbone of that
            name, names something other than a registered network, has values that do
            not match the network, or a file that it refers to has changed.
        RefusedCheckpointError: it contains more than plain values and dense tensors.
    """
    path, name, facts, values = open_backbone(path, name)
    external = _below(name, facts['external'])
    config, moved = relocated(path, facts['backbones'][name], external)
    with preferring(record['sha256'] for record in external.values()):
        network = build_network(path, config, Budget.of(values, moved.values()))
    check_external(str(path), external, external_parts(network))
    own = strip_external(network.state_dict(), external)
    fitting = strip_external(values, external)
    check_values(str(path), own, fitting)
    check_hashes(str(path), facts, {name: values_sha256(values)})
    network.load_state_dict(fitting, strict=False)
    # an earlier file has `faces` in place of traits
    traits = (facts.get('faces') if facts.get('traits') is None else
              facts['traits'].get(name))
    try:
        return add_traits(network, traits).eval()
    except ValueError as error:
        raise CheckpointMismatch(f'{path}: {error}. The file is damaged.') from error


def _below(name: str, items: dict[str, Any]) -> dict[str, Any]:
    """Returns the items below a submodule, with keys relative to it."""
    prefix = f'{name}.'
    return {key.removeprefix(prefix): value for key, value in items.items()
            if key.startswith(prefix)}


def open_backbone(path: str | Path, name: str | None = None, _files: int = 1
                  ) -> tuple[Path, str, dict[str, Any], dict[str, Tensor]]:
    """Finds the file with the values of a backbone and reads it.

    The checkpoint of a distillation only refers to its teacher; for the teacher, the
    result is the teacher's own file.

    Args:
        path: path of a checkpoint.
        name: name of the backbone; default: the trained one.

    Returns:
        Path of the file, name of the backbone in it, its description and its values.

    Raises:
        FileNotFoundError, CheckpointMismatch: see ``load_backbone``.
    """
    path = Path(path).expanduser()
    facts, state = read_checkpoint(path)
    name = facts['default'] if name is None else name
    if name not in facts['backbones']:
        raise CheckpointMismatch(
            f'{path} has no backbone {short(name)}; it has '
            f'{brief(", ".join(facts["backbones"]))}.')
    record = facts['external'].get(name)
    if record is None:
        return path, name, facts, _below(name, state)
    if _files == _MAX_FILES:
        raise CheckpointMismatch(
            f'{path} loads {name!r} from another file, but a chain of {_MAX_FILES} '
            'files leads here already. Pass the file that contains the values.')
    return open_backbone(find_external(path, name, record), record.get('member'),
                         _files + 1)


def copy_trained_weights(path: str | Path, network: nn.Module,
                         name: str | None = None) -> None:
    """Initializes a network with the trained weights of another.

    For example, a student starts from the decoder of its teacher, whose modules have
    the same names.

    Args:
        path: a self-describing checkpoint.
        network: the network; the file must contain all its trained parameters and
            buffers.
        name: name of the backbone in the file; default: the file's default.

    Raises:
        CheckpointMismatch: a trained value is missing, has another shape, or the
            values differ from their hash.
    """
    path, name, facts, values = open_backbone(path, name)
    copy_matching(str(path), values, network)
    check_hashes(str(path), facts, {name: values_sha256(values)})


def copy_matching(source: str, values: dict[str, Tensor], network: nn.Module) -> None:
    """Copies every trained value of a network from another state dict.

    A network with ``start_values`` completes them first, see ``Backbone``.
    """
    if hasattr(network, 'start_values'):
        values = network.start_values(values)
    own = strip_external(network.state_dict(), external_parts(network))
    check_values(source, own,
                 {key: value for key, value in values.items() if key in own})
    network.load_state_dict({key: values[key] for key in own}, strict=False)
