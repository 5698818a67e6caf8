"""Features that a frozen network would compute again and again."""
from __future__ import annotations

from typing import Any, Sequence

from mmcv.transforms import BaseTransform

from fdsr.frozen.features import PREFIX
from fdsr.frozen.store import FeatureStore
from fdsr.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ReadFrozenFeatures(BaseTransform):
    """Add the sample's features from stores on the disk.

    Comes behind ``PackInputs``, whose ``meta_keys`` have to be ``name`` and
    ``mirrored``; adds bfloat16 tensors (C, H, W) named ``frozen_KEY``. The restorer
    takes them if it has the same ``frozen_features``.

    Args:
        folders: the stores, as ``tools/freeze_features.py`` makes them.

    Raises:
        FileNotFoundError: a store is missing.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self.stores = [FeatureStore(folder) for folder in folders]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the features to ``data_samples``."""
        sample = results['data_samples']
        for store in self.stores:
            features = store.read(sample.name, sample.mirrored)
            for key, feature in features.items():
                sample.set_field(feature, PREFIX + key)
        return results
