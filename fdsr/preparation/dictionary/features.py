"""Component features, as the teacher matches them."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones.encoder import Encoder, layout_of
from fdsr.models.dictionary.roi import BoxRegions

#: (component, level)
Slot = tuple[str, int]


def component_features(encoder: Encoder, sides: dict[str, Sequence[int]],
                       images: Tensor, boxes: Tensor
                       ) -> Iterator[tuple[Slot, Tensor]]:
    """Encodes faces and cuts out their components at each level.

    Args:
        encoder: encoder of the teacher.
        sides: side of the atoms of each component and level.
        images: (B, 3, S, S) RGB in [0, 1], on the device of the encoder.
        boxes: (B, 4, 4) in pixels of the images, on the same device.

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
