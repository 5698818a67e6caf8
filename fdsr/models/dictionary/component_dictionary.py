"""The dictionary of facial components: atoms, and which of them fits a feature."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Tuple

import torch
from torch import Tensor, nn

from fdsr.geometry.components import COMPONENTS

_EPSILON = 1e-5
#: Atoms kept in fp16 are matched in fp32, at most this many values at a time.
_CHUNK_VALUES = 2**24


@dataclass(frozen=True)
class DictionarySpec:
    """What shape a dictionary has.

    Args:
        channels: channels of the encoder's map at each level, finest first.
        sides: for each component the side of its square atoms at each level.
        num_atoms: for each component the number of atoms at each level.
        unbiased: take the unbiased variance in AdaIN, as DFDNet's release does.
    """

    channels: Sequence[int]
    sides: Dict[str, Sequence[int]]
    num_atoms: Dict[str, Sequence[int]] = field(default_factory=dict)
    unbiased: bool = False

    @classmethod
    def uniform(cls, channels: Sequence[int], sides: Dict[str, Sequence[int]],
                num_atoms: int, unbiased: bool = False) -> 'DictionarySpec':
        """The same number of atoms for each component and level."""
        counts = {name: [num_atoms] * len(channels) for name in COMPONENTS}
        return cls(channels, sides, counts, unbiased)

    def atom_shape(self, component: str, level: int) -> Tuple[int, int, int, int]:
        """(K, C, s, s) of one component at one level."""
        side = self.sides[component][level]
        return (self.num_atoms[component][level], self.channels[level], side, side)

    def slots(self) -> List[Tuple[str, int]]:
        """Every component and level, components first."""
        return [(name, level) for name in COMPONENTS
                for level in range(len(self.channels))]


def channel_statistics(feature: Tensor, unbiased: bool) -> Tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, as AdaIN takes them.

    Args:
        feature: (B, C, H, W).
        unbiased: divide by H·W − 1.

    Returns:
        Two (B, C, 1, 1); the deviation is sqrt(variance + 1e-5).
    """
    mean = feature.mean(dim=(-2, -1), keepdim=True)
    # In two passes: torch.var_mean takes some fifteen times as long on a CPU.
    norm = torch.linalg.vector_norm(feature - mean, dim=(-2, -1), keepdim=True)
    variance = norm**2 / (feature.shape[-2] * feature.shape[-1] - int(unbiased))
    return mean, (variance + _EPSILON).sqrt()


def normalise(feature: Tensor, unbiased: bool) -> Tensor:
    """(B, C, H, W) with mean 0 and deviation 1 in each channel."""
    mean, deviation = channel_statistics(feature, unbiased)
    return (feature - mean) / deviation


class ComponentDictionary(nn.Module):
    """Atoms of each facial component at each level, matched for a whole batch at once.

    DFDNet restyles every atom to the feature F by component AdaIN and takes the one
    with the largest inner product, argmax_k ⟨F, σ(F)·N_k + μ(F)⟩, N_k being the atom
    normalised in each channel. ⟨F, μ(F)⟩ is the same for every k and ⟨μ(F), N_k⟩ is
    zero, so argmax_k ⟨σ(F)·(F − μ(F)), N_k⟩ finds the same atom by one matrix
    product, and only the chosen atom is restyled.

    The normalised atoms are buffers named ``{component}_{level}``, (K, C, s, s).
    Statistics and matching run in fp32, whatever autocast says.

    Args:
        spec: the dictionary's shape.
        dtype: of the atoms; fp16 halves their size.
    """

    def __init__(self, spec: DictionarySpec,
                 dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.spec = spec
        self.metadata: Dict[str, Any] = {}
        self.external_weights = None
        for component, level in spec.slots():
            atoms = torch.zeros(spec.atom_shape(component, level), dtype=dtype)
            self.register_buffer(_buffer_name(component, level), atoms)

    def atoms(self, component: str, level: int) -> Tensor:
        """The normalised atoms (K, C, s, s) of a component at a level."""
        return self.get_buffer(_buffer_name(component, level))

    @torch.no_grad()
    def set_atoms(self, component: str, level: int, raw: Tensor) -> None:
        """Normalises raw features (K, C, s, s) and keeps them as the atoms.

        Raises:
            ValueError: the shape is not the one that the dictionary was made with.
        """
        expected = self.spec.atom_shape(component, level)
        if tuple(raw.shape) != expected:
            raise ValueError(
                f'Atoms of {component} at level {level} have to be {expected}, '
                f'found {tuple(raw.shape)}.')
        atoms = self.atoms(component, level)
        for start in range(0, len(raw), 64):
            part = raw[start:start + 64].float()
            atoms[start:start + 64] = normalise(part, self.spec.unbiased)

    @torch.no_grad()
    def randomise_(self, seed: int = 0) -> 'ComponentDictionary':
        """Fills every atom with normalised noise: a stand-in for tests."""
        generator = torch.Generator().manual_seed(seed)
        for component, level in self.spec.slots():
            shape = self.spec.atom_shape(component, level)
            self.set_atoms(component, level, torch.randn(shape, generator=generator))
        return self

    @torch.no_grad()
    def match(self, component: str, level: int, feature: Tensor) -> Tensor:
        """Which atom fits each feature best.

        Args:
            feature: (B, C, s, s), the encoder's feature resized to the atoms' side.

        Returns:
            (B,) indices.
        """
        with torch.autocast(feature.device.type, enabled=False):
            feature = feature.float()
            mean, deviation = channel_statistics(feature, self.spec.unbiased)
            # Taking the mean off changes no score but for the rounding it saves.
            query = (deviation * (feature - mean)).flatten(1)
            atoms = self.atoms(component, level).flatten(1)
            return _scores(query, atoms).argmax(dim=1)

    def restyle(self, component: str, level: int, feature: Tensor,
                index: Tensor) -> Tensor:
        """Component AdaIN: the chosen atoms with the features' mean and deviation.

        Args:
            feature: (B, C, s, s).
            index: (B,) of the atoms.

        Returns:
            (B, C, s, s) fp32.
        """
        with torch.autocast(feature.device.type, enabled=False):
            mean, deviation = channel_statistics(feature.float(), self.spec.unbiased)
            return deviation * self.atoms(component, level)[index].float() + mean

    def forward(self, component: str, level: int, feature: Tensor) -> Tensor:
        """The best atom of each sample, restyled: (B, C, s, s) to the same, fp32."""
        index = self.match(component, level, feature)
        return self.restyle(component, level, feature, index)


def _buffer_name(component: str, level: int) -> str:
    return f'{component}_{level}'


def _scores(query: Tensor, atoms: Tensor) -> Tensor:
    """(B, D) fp32 by (K, D) of any dtype: (B, K) fp32."""
    if atoms.dtype == torch.float32:
        return query @ atoms.T
    rows = max(1, _CHUNK_VALUES // atoms.shape[1])
    return torch.cat(
        [query @ part.float().T for part in atoms.split(rows)], dim=1)
