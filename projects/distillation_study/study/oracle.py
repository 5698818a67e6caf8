"""Teachers whose atoms are matched on features of HR, or learned."""

from typing import Any

from mmagic.structures import DataSample
from torch import Tensor, nn, no_grad, tensor
from torch.nn import functional as F

from fdsr.models.backbones.dictionary_teacher import build_dictionary
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    channel_statistics,
    normalize,
)
from fdsr.models.restorers.face_restorer import FaceRestorer
from fdsr.registry import MODELS

MATCHED = ('lr', 'hr', 'no atoms')
LEARNED = 'learned'


class OracleDictionary(nn.Module):
    """A dictionary that can see the features of HR.

    Args:
        dictionary: the dictionary.
        matched_on: ``'lr'``, as usual; ``'hr'``: the atom that matches the feature of
            HR best; ``'no atoms'``: the feature of HR itself, normalized and restyled
            as an atom is, the limit of an infinite dictionary.

    Raises:
        ValueError: unknown ``matched_on``.
    """

    def __init__(self, dictionary: ComponentDictionary, matched_on: str) -> None:
        super().__init__()
        if matched_on not in MATCHED:
            raise ValueError(f'matched_on: expected one of {", ".join(MATCHED)}, found '
                             f'{matched_on!r}.')
        self.dictionary, self.matched_on = dictionary, matched_on
        self.spec = dictionary.spec
        self._of_hr: dict[tuple[str, int], Tensor] = {}
        self._sees_hr = False

    @no_grad()
    def see(self, teacher: nn.Module, hr: Tensor, boxes: Tensor) -> None:
        """Stores the features of HR, (B, 3, H, W) RGB in [0, 1], of the next batch."""
        if self.matched_on != 'lr':
            self._sees_hr = True
            teacher.transfer(teacher.encoder(hr), boxes)
            self._sees_hr = False

    def forward(self, component: str, level: int, feature: Tensor) -> Tensor:
        """Returns the atom of each feature, restyled: (B, C, s, s) fp32."""
        if self._sees_hr:
            self._of_hr[component, level] = feature
            return feature
        if self.matched_on == 'lr':
            return self.dictionary(component, level, feature)
        of_hr = self._of_hr[component, level]
        if self.matched_on == 'hr':
            index = self.dictionary.match(component, level, of_hr)
            return self.dictionary.restyle(component, level, feature, index)
        mean, deviation = channel_statistics(feature, self.spec.unbiased)
        return deviation * normalize(of_hr, self.spec.unbiased) + mean


class LearnedDictionary(nn.Module):
    """Atoms that are trained with the teacher and read by soft attention.

    Each feature receives the mean of all atoms, weighted by a softmax of cosines times
    a learned sharpness, and restyled as an atom is (cf. DMDNet, TPAMI 2022).

    Args:
        dictionary: its atoms are the initial values.
    """

    def __init__(self, dictionary: ComponentDictionary) -> None:
        super().__init__()
        self.spec = dictionary.spec
        slots = {f'{component}_{level}': dictionary.atoms(component, level)
                 for component, level in self.spec.slots()}
        self.atoms = nn.ParameterDict({
            name: nn.Parameter(atoms.float().clone()) for name, atoms in slots.items()})
        self.log_sharpness = nn.ParameterDict({
            name: nn.Parameter(tensor(30.0).log()) for name in slots})

    def forward(self, component: str, level: int, feature: Tensor) -> Tensor:
        """Returns the mean of the atoms for each feature, restyled: (B, C, s, s)."""
        name, unbiased = f'{component}_{level}', self.spec.unbiased
        atoms = self.atoms[name].flatten(1)
        mean, deviation = channel_statistics(feature, unbiased)
        query = (deviation * (feature - mean)).flatten(1)  # as in ComponentDictionary
        cosines = F.normalize(query, dim=1) @ F.normalize(atoms, dim=1).T
        weights = (cosines * self.log_sharpness[name].exp()).softmax(dim=1)
        found = (weights @ atoms).view_as(feature)
        return deviation * normalize(found, unbiased) + mean


@MODELS.register_module()
class OracleRestorer(FaceRestorer):
    """Fine-tunes a trained teacher with another dictionary.

    It serves experiments; its checkpoints cannot be loaded elsewhere.

    Args:
        matched_on: see :class:`OracleDictionary`; ``'learned'`` for a
            :class:`LearnedDictionary`.
        file: dictionary that replaces the teacher's; default: the teacher's own.
        **settings: arguments of ``FaceRestorer``.
    """

    def __init__(self, matched_on: str = 'lr', file: str | None = None,
                 **settings: Any) -> None:
        super().__init__(**settings)
        teacher = self.generator
        dictionary = teacher.dictionary if file is None else build_dictionary(
            teacher.encoder, teacher.size, teacher.eye_share, file=file)
        teacher.dictionary = (
            LearnedDictionary(dictionary) if matched_on == LEARNED else
            OracleDictionary(dictionary, matched_on))

    def _see(self, samples: DataSample) -> None:
        dictionary = self.generator.dictionary
        if isinstance(dictionary, OracleDictionary):
            dictionary.see(self.generator, samples.gt_img, samples.boxes)

    def forward_train(self, inputs: Tensor, data_samples: DataSample | None = None,
                      **kwargs: Any) -> dict[str, Tensor]:
        """Returns the weighted losses of a batch."""
        self._see(data_samples)
        return super().forward_train(inputs, data_samples, **kwargs)

    def val_step(self, data: dict[str, Any]) -> list[DataSample]:
        """Returns the predictions for a batch."""
        self._see(self.data_preprocessor(data, False)['data_samples'])
        return super().val_step(data)

    test_step = val_step
