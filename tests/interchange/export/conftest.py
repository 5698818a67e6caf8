"""A teacher that is small enough to be exported within a second."""

import pytest

from fdsr.models.backbones import DictionaryTeacher
from fdsr.models.backbones.encoder import layout_of
from fdsr.models.dictionary.roi import BoxRegions


@pytest.fixture
def one_slot(monkeypatch):
    """Teachers read atoms for the mouth at the deepest level only.

    Tracing all 16 slots takes 12 s; ``test_onnx`` does so once for each layout.
    """
    def transfer(self, maps, boxes):
        *finer, deepest = maps
        regions = BoxRegions(boxes[:, 3], layout_of(self.encoder.layout).strides[-1],
                             deepest.shape[-2:])
        window = self._transfer_one('mouth', len(finer), deepest, regions)
        return [*finer, regions.paste_(deepest.clone(), window)]
    monkeypatch.setattr(DictionaryTeacher, 'transfer', transfer)
