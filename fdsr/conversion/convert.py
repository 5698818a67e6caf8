"""Reads an authors' file, checks it against the network and writes ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Union

from torch import Tensor

from fdsr.checkpoints import CheckpointMismatch, check_values, save_backbone
from fdsr.conversion import rcan, srfbn
from fdsr.models.backbones.mean_shift import DIV2K_MEAN, RANGE
from fdsr.registry import MODELS
from fdsr.weights import safe_load, sha256_of

State = Dict[str, Tensor]


@dataclass(frozen=True)
class Converter:
    """How one kind of file is read.

    Args:
        config_of: the backbone's config by the file's shapes; a KeyError names what is
            missing.
        official_name: the authors' key of one of our network's.
        licence: of the authors' code and weights.
    """

    config_of: Callable[[State], dict]
    official_name: Callable[[str, dict], str]
    licence: str


#: By the name on the command line.
CONVERTERS: Dict[str, Converter] = {
    'rcan': Converter(
        rcan.config_of, rcan.official_name,
        'none given by the authors (github.com/yulunzhang/RCAN); ask them before use'),
    'srfbn': Converter(
        srfbn.config_of, srfbn.official_name,
        'MIT (github.com/Paper99/SRFBN_CVPR19)'),
}
#: Constants of both kinds of file that our networks have built in.
_MEAN_SHIFTS = ('sub_mean.', 'add_mean.')
_MEAN_TOLERANCE = 0.01  # of 255


def convert(kind: str, source: Union[str, Path], out: Union[str, Path]) -> str:
    """Writes an authors' checkpoint as a self-describing one.

    Args:
        kind: a key of ``CONVERTERS``.
        source: the authors' file.
        out: the file that ``fdsr.apis.load_backbone`` opens afterwards.

    Returns:
        What was found, and under which licence it stands.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: ``out`` is a folder.
        RefusedCheckpointError: it is broken, or holds more than plain values.
        CheckpointMismatch: it is no such network; names the first key that differs.
    """
    if Path(out).is_dir():
        raise IsADirectoryError(f'OUT has to be a file, found the folder {out}.')
    converter = CONVERTERS[kind]
    state = _state_of(source)
    _check_mean(source, state)
    try:
        config = converter.config_of(state)
    except KeyError as error:
        raise CheckpointMismatch(
            f'{source} is no checkpoint of {kind}: {error.args[0]} is missing.'
        ) from error
    network = MODELS.build(config)
    names = {key: converter.official_name(key, config) for key in network.state_dict()}
    wanted = {names[key]: value for key, value in network.state_dict().items()}
    found = {key: value for key, value in state.items()
             if not key.startswith(_MEAN_SHIFTS)}
    check_values(str(source), wanted, found, remedy=f'It was read as {config}.')
    network.load_state_dict({key: found[name] for key, name in names.items()})
    save_backbone(network, config, out, converted_from=dict(
        file=Path(source).name, sha256=sha256_of(source), licence=converter.licence))
    count = sum(value.numel() for value in network.parameters())
    return (f'{out}: {config}, {count / 1e6:.3f} M parameters.\n'
            f'Licence of the weights: {converter.licence}.')


def _state_of(source: Union[str, Path]) -> State:
    """The state dict of a file that is one, or that holds one beside other things."""
    content = safe_load(source)
    if isinstance(content, dict) and isinstance(content.get('state_dict'), dict):
        content = content['state_dict']
    if (not isinstance(content, dict) or not content
            or not all(isinstance(value, Tensor) for value in content.values())):
        raise CheckpointMismatch(
            f'{source} holds no state dict: expected tensors by name, or a dict with '
            f"'state_dict', found {_summary(content)}.")
    if all(key.startswith('module.') for key in content):  # of DataParallel
        content = {key[len('module.'):]: value for key, value in content.items()}
    return content


def _summary(content: object) -> str:
    return (f'a dict of {", ".join(map(str, list(content)[:5])) or "nothing"}'
            if isinstance(content, dict) else f'a {type(content).__name__}')


def _check_mean(source: Union[str, Path], state: State) -> None:
    """Our networks have the mean of DIV2K built in; another one cannot be loaded.

    Raises:
        CheckpointMismatch: the file subtracts or adds another.
    """
    for key, sign in (('sub_mean.bias', -1), ('add_mean.bias', 1)):
        if key not in state:
            continue
        expected = [sign * RANGE * mean for mean in DIV2K_MEAN]
        found = state[key].float().flatten().tolist()
        if len(found) != 3 or any(
                abs(a - b) > _MEAN_TOLERANCE for a, b in zip(found, expected)):
            raise CheckpointMismatch(
                f'{source}: {key} is {found}, expected {expected}: the mean of DIV2K '
                'on RGB in [0, 255].')
