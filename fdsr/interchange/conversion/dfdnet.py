"""Names, constants and dictionary files of the DFDNet authors' release."""

import math
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fdsr.geometry.components import COMPONENTS
from fdsr.models.files.checkpoints import CheckpointMismatch
from fdsr.models.vgg import IMAGENET_MEAN, IMAGENET_STD, vgg_layer_names

#: Sides of the encoder's maps at 512 px, finest first, as in names of the release.
_MAP_SIDES = (256, 128, 64, 32)
_CHANNELS = (128, 256, 512, 512)
_SHORT_NAMES = dict(zip(COMPONENTS, ('le', 're', 'no', 'mo')))
#: The release splits VGG after these layers.
_PIECE_ENDS = (8, 17, 26, 35)
_BLURRED = {'up0': 512, 'up1': 512, 'up2': 256, 'up3': 128}  # channels

#: Prefixes of values that the release's network does not use.
UNUSED = ('VggExtract.model.classifier.', 'to_rgb0.', 'to_rgb1.', 'to_rgb2.',
          'to_rgb3.')

_SPECTRAL_NORM = (
    (r'parametrizations\.weight\.original$', 'weight_orig'),
    (r'parametrizations\.weight\.0\._u$', 'weight_u'),
    (r'parametrizations\.weight\.0\._v$', 'weight_v'),
)
_RULES = (
    (r'decoder\.bottleneck\.join\.', 'MSDilate.convi.'),
    (r'decoder\.stages\.(\d)\.conv\.1\.', r'up\1.conv1.1.'),
    (r'decoder\.stages\.(\d)\.scale\.(\d)\.', r'up\1.ScaleModel1.\2.'),
    (r'decoder\.stages\.(\d)\.shift\.(\d)\.', r'up\1.ShiftModel1.\2.'),
    (r'decoder\.stages\.(\d)\.up\.0\.', r'up\1.convup.1.'),
    (r'decoder\.tail\.0\.', 'up4.0.'),
    (r'decoder\.tail\.([23])\.body\.', r'up4.\1.Model.'),
    (r'decoder\.to_rgb\.', 'up4.4.'),
)


def config_of(state: dict[str, Tensor]) -> dict:
    """Returns the backbone's config without its dictionary, which has its own files.

    The network has one size only, so no shapes are read.

    Raises:
        KeyError: a key that every DFDNet file has is missing.
    """
    for key in ('le_256.0.bias', 'VggExtract.RGB_mean', 'MSDilate.convi.bias'):
        if key not in state:
            raise KeyError(key)
    return dict(
        type='fdsr.DictionaryTeacher', size=512, scale=1, layout='dfdnet512',
        encoder=dict(arch='vgg19', pretrained=None))


def official_names(key: str, config: dict) -> list[str]:
    """Returns the authors' names of a value; their files store VGG's values twice."""
    del config
    for name, official in _SPECTRAL_NORM:
        key = re.sub(name, official, key)
    match = re.fullmatch(r'encoder\.net\.features\.(\w+)\.(weight|bias)', key)
    if match:
        index = vgg_layer_names('vgg19').index(match[1])
        piece = sum(index >= end for end in _PIECE_ENDS)
        return [f'VggExtract.features.{piece}.{index}.{match[2]}',
                f'VggExtract.model.features.{index}.{match[2]}']
    match = re.fullmatch(r'confidence\.(\w+)\.(\d)\.(first|second)\.(\w+)', key)
    if match:
        position = 0 if match[3] == 'first' else 2
        return [f'{_SHORT_NAMES[match[1]]}_{_MAP_SIDES[int(match[2])]}.{position}.'
                f'{match[4]}']
    match = re.fullmatch(r'decoder\.bottleneck\.branches\.(\d)\.(\d)\.(\w+)', key)
    if match:
        return [f'MSDilate.conv{int(match[1]) + 1}.{match[2]}.{match[3]}']
    for name, official in _RULES:
        if re.match(name, key):
            return [re.sub(f'^{name}', official, key)]
    raise KeyError(key)


def constants() -> dict[str, Tensor]:
    """Returns ImageNet's statistics and the blur, which fdsr's network has built in."""
    row = torch.tensor([1.0, 2.0, 1.0])
    kernel = torch.outer(row, row)[None, None] / 16
    fixed = {'VggExtract.RGB_mean': torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1),
             'VggExtract.RGB_std': torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)}
    for stage, channels in _BLURRED.items():
        fixed[f'{stage}.conv1.0.weight'] = kernel.expand(channels, 1, 3, 3)
        fixed[f'{stage}.conv1.0.weight_flip'] = kernel.expand(channels, 1, 3, 3)
    return fixed


def read_atoms(folder: str | Path) -> dict[str, list[np.ndarray]]:
    """Opens the release's dictionary as memory maps (512 atoms have 3 GiB).

    Args:
        folder: holds ``{component}_{256,128,64,32}_center.npy``, each (K, C·s·s) or
            (K, C, s, s).

    Returns:
        {component: arrays (K, C, s, s), one per level}.

    Raises:
        FileNotFoundError: one of the sixteen files is missing.
        CheckpointMismatch: a file is not such an array.
    """
    folder = Path(folder).expanduser()
    return {
        component: [
            _read(folder / f'{component}_{side}_center.npy', channels)
            for side, channels in zip(_MAP_SIDES, _CHANNELS)]
        for component in COMPONENTS
    }


def _read(path: Path, channels: int) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} is missing. The dictionary is sixteen files named '
            '{left_eye,right_eye,nose,mouth}_{256,128,64,32}_center.npy; name their '
            'folder with --dictionary.')
    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise CheckpointMismatch(
            f'{path} cannot be read as an array ({error}): it is truncated, or not a '
            'NumPy file. Download it again.') from error
    shape = getattr(array, 'shape', ())
    values = math.prod(shape[1:])
    side = math.isqrt(values // channels) if shape else 0
    if (len(shape) not in (2, 4) or side < 2 or values != channels * side**2
            or (len(shape) == 4 and shape[1:] != (channels, side, side))
            or array.dtype.kind != 'f' or not shape[0]):
        raise CheckpointMismatch(
            f'{path}: expected floats of shape (K, {channels}·s·s) or (K, {channels}, '
            f's, s) with s of at least 2, found {shape} {getattr(array, "dtype", "")}.')
    return array.reshape(shape[0], channels, side, side)


def dictionary_config(atoms: dict[str, list[np.ndarray]]) -> dict:
    """Returns the config of a ``ComponentDictionary`` for ``read_atoms``'s atoms."""
    return dict(
        num_atoms={name: [len(level) for level in levels]
                   for name, levels in atoms.items()},
        sides={name: [level.shape[-1] for level in levels]
               for name, levels in atoms.items()})


def fill_atoms(dictionary: torch.nn.Module,
               atoms: dict[str, list[np.ndarray]]) -> None:
    """Copies the atoms of ``read_atoms`` into a ``ComponentDictionary``.

    Raises:
        CheckpointMismatch: a value is not finite.
    """
    for component, levels in atoms.items():
        for level, array in enumerate(levels):
            raw = torch.from_numpy(np.array(array, dtype=np.float32))
            if not torch.isfinite(raw).all():
                raise CheckpointMismatch(
                    f'{component}_{_MAP_SIDES[level]}_center.npy holds values that '
                    'are not finite. Download it again.')
            dictionary.set_atoms(component, level, raw)
