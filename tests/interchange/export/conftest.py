"""A teacher that is quick to export."""

import pytest

from fdsr.models.backbones import DictionaryTeacher
from fdsr.models.backbones.encoder import layout_of
from fdsr.models.dictionary.roi import BoxRegions


@pytest.fixture
def one_slot(monkeypatch):
    """Teachers read atoms for the mouth at the deepest level only.

    ``test_onnx`` exports all 16 slots once for each layout, which takes longest.
    """
    def transfer(self, maps, boxes):
        *finer, deepest = maps
        regions = BoxRegions(boxes[:, 3], layout_of(self.encoder.layout).strides[-1],
                             deepest.shape[-2:])
        window = self._transfer_one('mouth', len(finer), deepest, regions)
        return [*finer, regions.paste_(deepest.clone(), window)]
    monkeypatch.setattr(DictionaryTeacher, 'transfer', transfer)
