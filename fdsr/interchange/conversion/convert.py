"""Converts an authors' checkpoint and checks it against fdsr's network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fdsr.interchange.conversion import baselines, dfdnet, progressive
from fdsr.interchange.drafts import check_out_file
from fdsr.models.files import Budget, build_network
from fdsr.models.files.checkpoints import (
    CheckpointMismatch,
    check_values,
    save_backbone,
)
from fdsr.weights import safe_load, sha256_of
from fdsr.weights.safetensors_files import SUFFIX

State = dict[str, Tensor]


@dataclass(frozen=True)
class Converter:
    """Describes the files of one method.

    Args:
        config_of: returns the backbone's config from the file's values; a KeyError
            names a missing key.
        official_names: returns the authors' keys of a key of fdsr's network. If there
            are several, the file has to hold equal values under each.
        constants: values that the file stores and fdsr's network has built in.
        licence: licence of the authors' code and weights.
        optional: prefixes of constants that may be missing.
        unused: prefixes of keys that the authors' network does not use.
        settings_of: returns arguments of the backbone from the other entries of the
            file; a ValueError says why the file cannot be used.
    """

    config_of: Callable[[State], dict]
    official_names: Callable[[str, dict], list[str]]
    constants: Callable[[], State]
    licence: str
    optional: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    settings_of: Callable[[dict[str, Any]], dict] = lambda content: {}


_MEAN_SHIFTS = ('sub_mean.', 'add_mean.')
#: Converters by method.
CONVERTERS: dict[str, Converter] = {
    'rcan': Converter(
        baselines.rcan_config, baselines.rcan_names, baselines.mean_shift,
        'none given by the authors (github.com/yulunzhang/RCAN); ask them before use',
        optional=_MEAN_SHIFTS),
    'srfbn': Converter(
        baselines.srfbn_config, baselines.srfbn_names, baselines.mean_shift,
        'MIT (github.com/Paper99/SRFBN_CVPR19)', optional=_MEAN_SHIFTS),
    'dfdnet': Converter(
        dfdnet.config_of, dfdnet.official_names, dfdnet.constants,
        'CC BY-NC-SA 4.0, non-commercial use only (github.com/csxmli2016/DFDNet)',
        unused=dfdnet.UNUSED),
    'progressive': Converter(
        progressive.config_of, progressive.official_names, dict,
        'none given by the authors (github.com/DeokyunKim/'
        'Progressive-Face-Super-Resolution); ask them before use',
        settings_of=progressive.progress_of),
}
#: Names under which the authors' files hold their state dict.
_WRAPPERS = ('state_dict', 'model_state_dict')
#: Tolerances of constants, which are small decimals or a mean in [0, 255].
_RELATIVE, _ABSOLUTE, _RELATIVE_HALF = 1e-4, 1e-6, 5e-3


def convert(kind: str, source: str | Path, out: str | Path,
            dictionary: str | Path | None = None) -> str:
    """Converts an authors' checkpoint to a self-describing file.

    Args:
        kind: a key of ``CONVERTERS``.
        source: the authors' file.
        out: the file to write, for ``fdsr.apis.load_backbone``: ``.safetensors``, which
            is the default, or ``.pth``.
        dictionary: for ``dfdnet``, the folder with the authors' atoms, see
            ``dfdnet.read_atoms``.

    Returns:
        A summary of the network and its licence.

    Raises:
        FileNotFoundError: the source does not exist.
        IsADirectoryError: ``out`` is a folder.
        RefusedCheckpointError: the source is damaged, or holds more than plain values.
        CheckpointMismatch: the source is not a checkpoint of this method; the message
            has the first key that differs.
        ValueError: a dictionary is missing or not supported, or ``out`` is the source.
    """
    out = Path(out)
    if not out.suffix and not out.is_dir():
        out = out.with_name(f'{out.name}{SUFFIX}')
    _check_paths(kind, source, out, dictionary)
    converter = CONVERTERS[kind]
    state, others = _content_of(source)
    config = _config_of(kind, state, others, source)
    atoms = None if dictionary is None else dfdnet.read_atoms(dictionary)
    if atoms is not None:
        config['dictionary'] = dfdnet.dictionary_config(atoms)
    budget = Budget.of(state, extra=sum(
        level.size for levels in (atoms or {}).values() for level in levels))
    network = build_network(source, config, budget)
    _fill(network, converter, config, state, str(source))
    if atoms is not None:
        dfdnet.fill_atoms(network.dictionary, atoms)
    save_backbone(network, config, out, converted_from=dict(
        file=Path(source).name, sha256=sha256_of(source), licence=converter.licence))
    return _summary_of(out, network, config, converter.licence)


def _check_paths(kind: str, source: str | Path, out: str | Path,
                 dictionary: str | Path | None) -> None:
    check_out_file(Path(out))
    if Path(out).resolve() == Path(source).resolve():
        raise ValueError(f'{out} is the source itself; name another file as OUT.')
    if (kind == 'dfdnet') != (dictionary is not None):
        raise ValueError(
            f'{kind}: expected {"a" if kind == "dfdnet" else "no"} dictionary, found '
            f'{dictionary}.')


def _config_of(kind: str, state: State, others: dict[str, Any],
               source: str | Path) -> dict:
    """Returns the backbone's config, read from the file's shapes and settings."""
    try:
        config = CONVERTERS[kind].config_of(state)
    except KeyError as error:
        raise CheckpointMismatch(
            f'{source} is not a checkpoint of {kind}: {error.args[0]} is missing.'
        ) from error
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointMismatch(
            f'{source} is not a checkpoint of {kind}: a value that defines a size has '
            f'the wrong shape ({error}).') from error
    try:
        return {**config, **CONVERTERS[kind].settings_of(others)}
    except ValueError as error:
        raise CheckpointMismatch(
            f'{source} cannot be used: {str(error).rstrip(".")}.') from error


def _summary_of(out: str | Path, network: nn.Module, config: dict,
                licence: str) -> str:
    count = sum(value.numel() for value in network.parameters())
    facts = {key: value for key, value in config.items() if key != 'dictionary'}
    if 'dictionary' in config:
        counts = config['dictionary']['num_atoms'].values()
        numbers = sorted({number for levels in counts for number in levels})
        facts['atoms'] = numbers[0] if len(numbers) == 1 else numbers
    return (f'{out}: {facts}, {count / 1e6:.3f} M parameters.\n'
            f'Licence of the weights: {licence}.')


def _fill(network: nn.Module, converter: Converter, config: dict, state: State,
          source: str) -> None:
    """Checks that the file's values match the network, then copies them."""
    own = {key: value for key, value in network.state_dict().items()
           if not key.startswith('dictionary.')}
    names = {key: converter.official_names(key, config) for key in own}
    constants = converter.constants()
    expected = {name: own[key] for key in own for name in names[key]}
    expected.update(constants)
    found = {key: value for key, value in state.items()
             if not key.startswith(converter.unused)}
    for key in constants:
        if key.startswith(converter.optional) and key not in found:
            del expected[key]
    check_values(source, expected, found, remedy=f'It was read as {config}.')
    _check_constants(source, constants, found)
    for several in names.values():
        for name in several[1:]:
            if not torch.equal(found[several[0]], found[name]):
                raise CheckpointMismatch(
                    f'{source}: {name} has other values than {several[0]}; expected '
                    'equal tensors. The file is not an original of the authors.')
    network.load_state_dict(
        {key: found[several[0]] for key, several in names.items()}, strict=False)


def _content_of(source: str | Path) -> tuple[State, dict[str, Any]]:
    """Returns the state dict that a file is or holds, and the file's other entries."""
    content, others = safe_load(source), {}
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            others = {key: value for key, value in content.items() if key != name}
            content = content[name]
    if (not isinstance(content, dict) or not content
            or not all(isinstance(key, str) and isinstance(value, Tensor)
                       for key, value in content.items())):
        raise CheckpointMismatch(
            f'{source} does not hold a state dict: expected tensors by name, or a '
            f'dict with {" or ".join(map(repr, _WRAPPERS))}, found a '
            f'{type(content).__name__}'
            + (f' of {", ".join(map(str, list(content)[:5])) or "nothing"}.'
               if isinstance(content, dict) else '.'))
    if all(key.startswith('module.') for key in content):  # of DataParallel
        content = {key[len('module.'):]: value for key, value in content.items()}
    return content, others


def _check_constants(source: str, constants: State, found: State) -> None:
    """Checks the values that are built into fdsr's networks and so are not loaded."""
    for key, expected in constants.items():
        if key not in found:
            continue
        half = found[key].dtype in (torch.float16, torch.bfloat16)
        relative = _RELATIVE_HALF if half else _RELATIVE
        if not torch.allclose(found[key].float(), expected.float(), rtol=relative,
                              atol=_ABSOLUTE):
            raise CheckpointMismatch(
                f'{source}: {key} is {found[key].flatten()[:9].tolist()}, expected '
                f'{expected.flatten()[:9].tolist()}, the only value that this network '
                'supports.')
