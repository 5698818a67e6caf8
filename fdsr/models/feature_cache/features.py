"""What restorers take out of a store instead of computing it again."""

from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import torch
from mmagic.structures import DataSample
from torch import Tensor, nn

from fdsr.models.feature_cache.store import FeatureStore

#: What keys begin with in stores.
ENCODED, PERCEPTUAL, TEACHER = 'encoded_', 'perceptual_', 'teacher_'


class FrozenFeatures:
    """The frozen features of a batch, read when they are asked for.

    Checks once that the stores were made with the networks that would otherwise
    compute them. They are read in the process that trains: a batch has some sixty
    megabytes, which would be copied twice on the way from a worker.

    Samples need ``name`` and ``mirrored`` among ``PackInputs``' ``meta_keys``.

    Args:
        folders: of the stores, as ``tools/freeze_features.py`` writes them.
        backbone: whose frozen encoder's maps are in a store, if they are in one.
        perceptual_loss: whose GT features are in a store; None if there is none.
        teacher: SHA-256 of the teacher's checkpoint; None if there is none.

    Raises:
        FileNotFoundError: a store is missing.
        ValueError: a store was made with something else.
    """

    def __init__(self, folders: Sequence[Union[str, Path]], backbone: nn.Module,
                 perceptual_loss: Optional[nn.Module] = None,
                 teacher: Optional[str] = None) -> None:
        wanted = dict(encoder=lambda: encoder_facts(backbone),
                      perceptual=lambda: perceptual_facts(perceptual_loss),
                      teacher=lambda: teacher)
        self._compared = getattr(perceptual_loss, 'faces', None)
        self.taps: List[str] = []
        self.stores = [FeatureStore(folder) for folder in folders]
        for store in self.stores:
            self.taps = store.facts.get('taps', self.taps)
            for part in wanted.keys() & store.facts.keys():
                expected, found = wanted[part](), store.facts[part]
                if expected is not None and expected != found:
                    raise ValueError(
                        f'The frozen features in {store.folder} were made with another '
                        f'{part}: expected {expected}, found {found}. Make them '
                        'anew with tools/freeze_features.py.')

    def encoded(self, samples: DataSample, lr: Tensor) -> Optional[List[Tensor]]:
        """The encoder's maps of (B, 3, h, w), finest first, or None if there are none.

        Raises:
            ValueError: they were made of other pictures, or of another LR of these.
        """
        maps = self._of(samples, ENCODED, lr)
        return [maps[str(level)] for level in range(len(maps))] if maps else None

    def perceptual(self, samples: DataSample) -> Optional[Dict[str, Tensor]]:
        """The GT's perceptual features by layer, of the faces that the loss compares.

        None if there are none.
        """
        return self._of(samples, PERCEPTUAL, faces=self._compared) or None

    def teacher(self, samples: DataSample, lr: Tensor) -> Optional[Dict[str, Tensor]]:
        """The teacher's features of (B, 3, h, w) by tap, or None.

        Raises:
            ValueError: they were made of other pictures, or of another LR of these.
        """
        found = self._of(samples, TEACHER, lr)
        return {tap: found[str(number)] for number, tap in enumerate(self.taps)
                } if found else None

    def _of(self, samples: DataSample, kind: str, lr: Optional[Tensor] = None,
            faces: Optional[int] = None) -> Dict[str, Tensor]:
        missing = {'name', 'mirrored'} - set(samples.metainfo)
        if missing:
            raise ValueError(
                f'Frozen features need {missing.pop()!r} of each sample: put '
                "meta_keys=['name', 'mirrored'] into mmagic.PackInputs of the training "
                "pipeline, behind fdsr.FlipFace.")
        names, mirrored, hr = (values[:faces] for values in (
            samples.metainfo['name'], samples.metainfo['mirrored'], samples.gt_img))
        found: Dict[str, Tensor] = {}
        for store in self.stores:
            keys = [key for key in store.shapes if key.startswith(kind)]
            if keys:
                store.check(names, mirrored, hr)
            if keys and lr is not None:
                store.check_lr(names, mirrored, lr, hr)
            for key in keys:
                feature = store.read(key, names, mirrored)
                found[key[len(kind):]] = feature.to(hr.device)
        if torch.is_autocast_enabled('cpu') or torch.is_autocast_enabled('cuda'):
            return found
        return {key: feature.float() for key, feature in found.items()}


def encoder_facts(backbone: nn.Module) -> str:
    """What tells a backbone's frozen encoder from another one.

    Raises:
        ValueError: it has none, so its features change while it is trained.
    """
    encoder = getattr(backbone, 'encoder', None)
    if not getattr(encoder, 'frozen', False):
        raise ValueError(
            f'{type(backbone).__name__} has no frozen encoder, so there is nothing to '
            'read instead of computing it. Leave frozen_features out.')
    return f'{encoder.arch}/{encoder.layout}/{encoder.fingerprint()}'


def perceptual_facts(loss: Optional[nn.Module]) -> Optional[str]:
    """What tells a perceptual loss's features from others."""
    if loss is None:
        return None
    external = loss.external_weights
    return f'{"/".join(loss.layers)}/{external and external.sha256}'
