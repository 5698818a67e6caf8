"""Features that restorers read from stores instead of computing them."""

from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import torch
from mmagic.structures import DataSample
from torch import Tensor, nn

from fdsr.models.feature_cache.store import FeatureStore

#: Prefixes of the keys in stores.
ENCODED, PERCEPTUAL, TEACHER = 'encoded_', 'perceptual_', 'teacher_'


class FrozenFeatures:
    """Reads the stored features of a batch.

    Every method returns None if no store contains the features, and then needs
    nothing from the samples. Otherwise samples need ``name`` and ``mirrored`` among
    the ``meta_keys`` of ``PackInputs``. Stores are read in the training process: a
    batch takes about sixty megabytes, which a worker would copy twice.

    Args:
        folders: folders of the stores, written by ``tools/freeze_features.py``; may
            be empty.
        backbone: network with the frozen encoder.
        perceptual_loss: loss that compares with the stored features of GT, or None.
        teacher: SHA-256 of the teacher's checkpoint, or None.

    Raises:
        FileNotFoundError: a store is missing.
        ValueError: a store was computed by another network.
    """

    def __init__(self, folders: Sequence[Union[str, Path]], backbone: nn.Module,
                 perceptual_loss: Optional[nn.Module] = None,
                 teacher: Optional[str] = None) -> None:
        facts = dict(encoder=lambda: encoder_facts(backbone),
                     perceptual=lambda: perceptual_facts(perceptual_loss),
                     teacher=lambda: teacher)
        self._compared = getattr(perceptual_loss, 'faces', None)
        self.taps: List[str] = []
        self.stores = [FeatureStore(folder) for folder in folders]
        for store in self.stores:
            self.taps = store.facts.get('taps', self.taps)
            for network in facts.keys() & store.facts.keys():
                expected, found = facts[network](), store.facts[network]
                if expected is not None and expected != found:
                    raise ValueError(
                        f'{store.folder}: the features were computed by another '
                        f'{network}: expected {expected}, found {found}. Recompute '
                        'them with tools/freeze_features.py.')

    def encoded(self, samples: DataSample, lr: Tensor) -> Optional[List[Tensor]]:
        """Returns the encoder's maps of ``lr`` (B, 3, h, w), finest first, or None.

        Raises:
            ValueError: the stored features belong to other images or another LR.
        """
        maps = self._read(ENCODED, samples, lr)
        return [maps[str(level)] for level in range(len(maps))] if maps else None

    def perceptual(self, samples: DataSample) -> Optional[Dict[str, Tensor]]:
        """Returns the perceptual features of GT by layer, or None.

        They cover the images that the perceptual loss compares.
        """
        return self._read(PERCEPTUAL, samples, faces=self._compared) or None

    def teacher(self, samples: DataSample, lr: Tensor) -> Optional[Dict[str, Tensor]]:
        """Returns the teacher's features of ``lr`` (B, 3, h, w) by tap, or None.

        Raises:
            ValueError: the stored features belong to other images or another LR.
        """
        found = self._read(TEACHER, samples, lr)
        return {tap: found[str(number)] for number, tap in enumerate(self.taps)
                } if found else None

    def _read(self, prefix: str, samples: DataSample, lr: Optional[Tensor] = None,
              faces: Optional[int] = None) -> Dict[str, Tensor]:
        found: Dict[str, Tensor] = {}
        for store in self.stores:
            keys = [key for key in store.shapes if key.startswith(prefix)]
            if not keys:
                continue
            missing = {'name', 'mirrored'} - set(samples.metainfo)
            if missing:
                raise ValueError(
                    f'Frozen features need {missing.pop()!r} of each sample. Add '
                    "meta_keys=['name', 'mirrored'] to mmagic.PackInputs of the "
                    'training pipeline, after fdsr.FlipFace.')
            names, mirrored, hr = (values[:faces] for values in (
                samples.metainfo['name'], samples.metainfo['mirrored'],
                samples.gt_img))
            store.check(names, mirrored, hr, lr)
            for key in keys:
                feature = store.read(key, names, mirrored)
                found[key[len(prefix):]] = feature.to(hr.device)
        if torch.is_autocast_enabled('cpu') or torch.is_autocast_enabled('cuda'):
            return found
        return {key: feature.float() for key, feature in found.items()}


def encoder_facts(backbone: nn.Module) -> str:
    """Returns a string that identifies a backbone's frozen encoder.

    Raises:
        ValueError: the backbone has no frozen encoder.
    """
    encoder = getattr(backbone, 'encoder', None)
    if not getattr(encoder, 'frozen', False):
        raise ValueError(
            f'{type(backbone).__name__} has no frozen encoder, so its features change '
            'during training and cannot be stored. Remove frozen_features.')
    return f'{encoder.arch}/{encoder.layout}/{encoder.fingerprint()}'


def perceptual_facts(loss: Optional[nn.Module]) -> Optional[str]:
    """Returns a string that identifies the features of a perceptual loss, or None."""
    if loss is None:
        return None
    external = loss.external_weights
    return f'{"/".join(loss.layers)}/{external and external.sha256}'
