"""The dictionary of facial components: atoms, matching and restyling."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Tuple

import torch
from torch import Tensor, nn

from fdsr.geometry.components import COMPONENTS

_EPSILON = 1e-5
#: fp16 atoms are converted to fp32 for matching, at most this many values at a time.
_CHUNK_VALUES = 2**24


@dataclass(frozen=True)
class DictionarySpec:
    """Shape of a dictionary.

    Args:
        channels: channels of the encoder's map at each level, finest first.
        sides: side of each component's square atoms at each level.
        num_atoms: number of each component's atoms at each level.
        unbiased: whether AdaIN uses the unbiased variance, as DFDNet's release does.
    """

    channels: Sequence[int]
    sides: Dict[str, Sequence[int]]
    num_atoms: Dict[str, Sequence[int]] = field(default_factory=dict)
    unbiased: bool = False

    @classmethod
    def uniform(cls, channels: Sequence[int], sides: Dict[str, Sequence[int]],
                num_atoms: int, unbiased: bool = False) -> 'DictionarySpec':
        """Returns a spec with the same number of atoms at every slot."""
        counts = {name: [num_atoms] * len(channels) for name in COMPONENTS}
        return cls(channels, sides, counts, unbiased)

    def atom_shape(self, component: str, level: int) -> Tuple[int, int, int, int]:
        """Returns (K, C, s, s) of a component at a level."""
        side = self.sides[component][level]
        return (self.num_atoms[component][level], self.channels[level], side, side)

    def slots(self) -> List[Tuple[str, int]]:
        """Returns every (component, level), grouped by component."""
        return [(name, level) for name in COMPONENTS
                for level in range(len(self.channels))]


def channel_statistics(feature: Tensor, unbiased: bool) -> Tuple[Tensor, Tensor]:
    """Returns the mean and standard deviation of each channel, as used by AdaIN.

    Args:
        feature: (B, C, H, W).
        unbiased: whether to divide by H·W − 1 instead of H·W.

    Returns:
        Two tensors (B, C, 1, 1); the deviation is sqrt(variance + 1e-5).
    """
    mean = feature.mean(dim=(-2, -1), keepdim=True)
    # Two passes, because torch.var_mean takes about fifteen times as long on a CPU.
    norm = torch.linalg.vector_norm(feature - mean, dim=(-2, -1), keepdim=True)
    variance = norm**2 / (feature.shape[-2] * feature.shape[-1] - int(unbiased))
    return mean, (variance + _EPSILON).sqrt()


def normalize(feature: Tensor, unbiased: bool) -> Tensor:
    """Returns (B, C, H, W) with mean 0 and standard deviation 1 in each channel."""
    mean, deviation = channel_statistics(feature, unbiased)
    return (feature - mean) / deviation


class ComponentDictionary(nn.Module):
    """Atoms of each facial component at each level, matched in batches.

    DFDNet (Li et al. 2020) restyles every atom to the feature F by component AdaIN and
    selects the one with the largest inner product, argmax_k ⟨F, σ(F)·N_k + μ(F)⟩,
    where N_k is the atom normalized in each channel. ⟨F, μ(F)⟩ does not depend on k
    and ⟨μ(F), N_k⟩ is zero, so argmax_k ⟨σ(F)·(F − μ(F)), N_k⟩ selects the same atom
    with one matrix product, and only the selected atom is restyled.

    The normalized atoms are buffers named ``{component}_{level}``, (K, C, s, s).
    Statistics and matching run in fp32, also under autocast.

    Args:
        spec: shape of the dictionary.
        dtype: dtype of the atoms; fp16 halves their size.
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
        """Returns the normalized atoms (K, C, s, s) of a component at a level."""
        return self.get_buffer(_buffer_name(component, level))

    @torch.no_grad()
    def set_atoms(self, component: str, level: int, raw: Tensor) -> None:
        """Normalizes raw features (K, C, s, s) and stores them as atoms.

        Raises:
            ValueError: the shape differs from that of the spec.
        """
        expected = self.spec.atom_shape(component, level)
        if tuple(raw.shape) != expected:
            raise ValueError(
                f'Atoms of {component} at level {level}: expected shape {expected}, '
                f'found {tuple(raw.shape)}.')
        atoms = self.atoms(component, level)
        for start in range(0, len(raw), 64):
            part = raw[start:start + 64].float()
            atoms[start:start + 64] = normalize(part, self.spec.unbiased)

    @torch.no_grad()
    def randomise_(self, seed: int = 0) -> 'ComponentDictionary':
        """Fills every atom with normalized noise, as a placeholder."""
        generator = torch.Generator().manual_seed(seed)
        for component, level in self.spec.slots():
            shape = self.spec.atom_shape(component, level)
            self.set_atoms(component, level, torch.randn(shape, generator=generator))
        return self

    @torch.no_grad()
    def match(self, component: str, level: int, feature: Tensor) -> Tensor:
        """Returns the index (B,) of the best atom for each feature.

        Args:
            feature: (B, C, s, s), the encoder's feature resized to the atoms' side.
        """
        with torch.autocast(feature.device.type, enabled=False):
            feature = feature.float()
            mean, deviation = channel_statistics(feature, self.spec.unbiased)
            # Subtracting the mean changes no score; it reduces rounding errors.
            query = (deviation * (feature - mean)).flatten(1)
            atoms = self.atoms(component, level).flatten(1)
            return _scores(query, atoms).argmax(dim=1)

    def restyle(self, component: str, level: int, feature: Tensor,
                index: Tensor) -> Tensor:
        """Returns the selected atoms with the features' statistics (component AdaIN).

        Args:
            feature: (B, C, s, s).
            index: (B,) indices of atoms.

        Returns:
            (B, C, s, s) fp32.
        """
        with torch.autocast(feature.device.type, enabled=False):
            mean, deviation = channel_statistics(feature.float(), self.spec.unbiased)
            return deviation * self.atoms(component, level)[index].float() + mean

    def forward(self, component: str, level: int, feature: Tensor) -> Tensor:
        """Returns the best atom of each feature, restyled: (B, C, s, s) fp32."""
        index = self.match(component, level, feature)
        return self.restyle(component, level, feature, index)


def _buffer_name(component: str, level: int) -> str:
    return f'{component}_{level}'


def _scores(query: Tensor, atoms: Tensor) -> Tensor:
    """Returns the products (B, K) fp32 of (B, D) fp32 and (K, D) of any dtype."""
    if atoms.dtype == torch.float32:
        return query @ atoms.T
    rows = max(1, _CHUNK_VALUES // atoms.shape[1])
    return torch.cat(
        [query @ part.float().T for part in atoms.split(rows)], dim=1)
