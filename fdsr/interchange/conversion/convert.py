"""Reads an authors' file, checks it against the network and writes ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from fdsr.interchange.conversion import dfdnet, mean_shift, rcan, srfbn
from fdsr.models.files import Budget, build_network
from fdsr.models.files.checkpoints import (
    CheckpointMismatch,
    check_values,
    save_backbone,
)
from fdsr.weights import safe_load, sha256_of

State = Dict[str, Tensor]


@dataclass(frozen=True)
class Converter:
    """How one kind of file is read.

    Args:
        config_of: the backbone's config by the file's shapes; a KeyError names what is
            missing.
        official_names: the authors' keys of one of our network's; a file that has
            several has to hold the same values under each.
        constants: what the file holds and our network has built in; compared.
        licence: of the authors' code and weights.
        optional: prefixes of constants that a file may lack.
        unused: prefixes of keys that the authors' network never uses.
    """

    config_of: Callable[[State], dict]
    official_names: Callable[[str, dict], List[str]]
    constants: Callable[[dict], State]
    licence: str
    optional: Tuple[str, ...] = ()
    unused: Tuple[str, ...] = ()


_MEAN_SHIFTS = ('sub_mean.', 'add_mean.')
#: By the name on the command line.
CONVERTERS: Dict[str, Converter] = {
    'rcan': Converter(
        rcan.config_of, rcan.official_names, mean_shift.constants,
        'none given by the authors (github.com/yulunzhang/RCAN); ask them before use',
        optional=_MEAN_SHIFTS),
    'srfbn': Converter(
        srfbn.config_of, srfbn.official_names, mean_shift.constants,
        'MIT (github.com/Paper99/SRFBN_CVPR19)', optional=_MEAN_SHIFTS),
    'dfdnet': Converter(
        dfdnet.config_of, dfdnet.official_names, dfdnet.constants,
        'CC BY-NC-SA 4.0, non-commercial use only (github.com/csxmli2016/DFDNet)',
        unused=dfdnet.UNUSED),
}
#: Constants are small decimals, or a mean in [0, 255]: a wrong one is further off.
_RELATIVE, _ABSOLUTE, _RELATIVE_HALF = 1e-4, 1e-6, 5e-3


def convert(kind: str, source: Union[str, Path], out: Union[str, Path],
            dictionary: Optional[Union[str, Path]] = None) -> str:
    """Writes an authors' checkpoint as a self-describing one.

    Args:
        kind: a key of ``CONVERTERS``.
        source: the authors' file.
        out: the file that ``fdsr.apis.load_backbone`` opens afterwards.
        dictionary: ``dfdnet`` alone: the folder with the authors' atoms, see
            ``dfdnet.read_atoms``.

    Returns:
        What was found, and under which licence it stands.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: ``out`` is a folder.
        RefusedCheckpointError: it is broken, or holds more than plain values.
        CheckpointMismatch: it is no such network; names the first key that differs.
        ValueError: a dictionary is given where none belongs, or is not given; or the
            result would overwrite the source.
    """
    _check_paths(kind, source, out, dictionary)
    converter = CONVERTERS[kind]
    state = _state_of(source)
    config = _config_of(kind, state, source)
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


def _check_paths(kind: str, source: Union[str, Path], out: Union[str, Path],
                 dictionary: Optional[Union[str, Path]]) -> None:
    if Path(out).is_dir():
        raise IsADirectoryError(f'OUT has to be a file, found the folder {out}.')
    if Path(out).resolve() == Path(source).resolve():
        raise ValueError(f'{out} is the source itself; give another file as OUT.')
    if (kind == 'dfdnet') != (dictionary is not None):
        raise ValueError(
            f'{kind}: expected {"a" if kind == "dfdnet" else "no"} dictionary, found '
            f'{dictionary}.')


def _config_of(kind: str, state: State, source: Union[str, Path]) -> dict:
    """The backbone's config by the file's shapes."""
    try:
        return CONVERTERS[kind].config_of(state)
    except KeyError as error:
        raise CheckpointMismatch(
            f'{source} is no checkpoint of {kind}: {error.args[0]} is missing.'
        ) from error
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointMismatch(
            f'{source} is no checkpoint of {kind}: a value that tells a size has the '
            f'wrong shape ({error}).') from error


def _summary_of(out: Union[str, Path], network: nn.Module, config: dict,
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
    """Copies the file's values into the network, once all of them are seen to fit."""
    own = {key: value for key, value in network.state_dict().items()
           if not key.startswith('dictionary.')}
    names = {key: converter.official_names(key, config) for key in own}
    constants = converter.constants(config)
    wanted = {name: own[key] for key in own for name in names[key]}
    wanted.update(constants)
    found = {key: value for key, value in state.items()
             if not key.startswith(converter.unused)}
    for key in constants:
        if key.startswith(converter.optional) and key not in found:
            del wanted[key]
    check_values(source, wanted, found, remedy=f'It was read as {config}.')
    _check_constants(source, constants, found)
    for several in names.values():
        for name in several[1:]:
            if not torch.equal(found[several[0]], found[name]):
                raise CheckpointMismatch(
                    f'{source}: {name} has other values than {several[0]}; expected '
                    'the same tensor twice. It is no file of the authors.')
    network.load_state_dict(
        {key: found[several[0]] for key, several in names.items()}, strict=False)


def _state_of(source: Union[str, Path]) -> State:
    """The state dict of a file that is one, or that holds one beside other things."""
    content = safe_load(source)
    if isinstance(content, dict) and isinstance(content.get('state_dict'), dict):
        content = content['state_dict']
    if (not isinstance(content, dict) or not content
            or not all(isinstance(key, str) and isinstance(value, Tensor)
                       for key, value in content.items())):
        raise CheckpointMismatch(
            f'{source} holds no state dict: expected tensors by name, or a dict with '
            f"'state_dict', found {_summary(content)}.")
    if all(key.startswith('module.') for key in content):  # of DataParallel
        content = {key[len('module.'):]: value for key, value in content.items()}
    return content


def _summary(content: object) -> str:
    return (f'a dict of {", ".join(map(str, list(content)[:5])) or "nothing"}'
            if isinstance(content, dict) else f'a {type(content).__name__}')


def _check_constants(source: str, constants: State, found: State) -> None:
    """What our networks have built in cannot be loaded: it has to be the same.

    Raises:
        CheckpointMismatch: the file holds another value.
    """
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
                'can work with.')
