"""The features of a face's components, as the teacher matches them."""

from typing import Dict, Iterator, Sequence, Tuple

from torch import Tensor

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones.encoder import FeatureEncoder, layout_of
from fdsr.models.dictionary.roi import BoxRegions

Slot = Tuple[str, int]


def component_features(encoder: FeatureEncoder, sides: Dict[str, Sequence[int]],
                       images: Tensor, boxes: Tensor
                       ) -> Iterator[Tuple[Slot, Tensor]]:
    """Encodes faces and cuts their components out, at each level.

    Args:
        encoder: of the teacher.
        sides: for each component the side of its atoms at each level.
        images: (B, 3, S, S) RGB in [0, 1], on the encoder's device.
        boxes: (B, 4, 4) in pixels of the images, there too.

    Yields:
        (component, level) and fp32 (B, C, s, s).
    """
    maps = encoder(images)
    strides = layout_of(encoder.layout).strides
    for level, (feature, stride) in enumerate(zip(maps, strides)):
        for order, component in enumerate(COMPONENTS):
            regions = BoxRegions(boxes[:, order], stride, feature.shape[-2:])
            window = regions.cut(feature).float()
            yield (component, level), regions.resize(window, sides[component][level])
