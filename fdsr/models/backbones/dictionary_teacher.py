"""The dictionary teacher: an encoder-decoder with a dictionary of components."""

from typing import Dict, List, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from fdsr.geometry.components import COMPONENTS, FFHQ_EYE_SHARE, atom_sides
from fdsr.models.backbones.decoder import sn_conv
from fdsr.models.backbones.encoder import Encoder, layout_of
from fdsr.models.backbones.encoder_decoder import EncoderDecoder
from fdsr.models.dictionary.component_dictionary import (
    ComponentDictionary,
    DictionarySpec,
)
from fdsr.models.dictionary.files import load_dictionary
from fdsr.models.dictionary.roi import BoxRegions
from fdsr.registry import MODELS
from fdsr.weights import announce_random, weights_are_to_follow


class ConfidenceBlock(nn.Module):
    """Predicts the confidence of an atom from its difference to the feature.

    The crops of a batch have different sizes and share one window with a mask. Values
    outside each crop are set to zero before both convolutions, which is equivalent to
    zero padding of the individual crop.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = sn_conv(channels, channels)
        self.act = nn.LeakyReLU(0.2)
        self.second = sn_conv(channels, channels)

    def forward(self, difference: Tensor, mask: Tensor) -> Tensor:
        """Maps (B, C, H, W) and its mask (B, 1, H, W) to (B, C, H, W)."""
        hidden = self.act(self.first(difference * mask))
        return self.second(hidden * mask)


@MODELS.register_module()
class DictionaryTeacher(EncoderDecoder):
    """Encoder-decoder with DFDNet's dictionary feature transfer.

    For each component and level (DFDNet, ECCV 2020, sec. 3.2–3.4), the network crops
    the box from the encoder's map, selects the best matching atom after component
    AdaIN and adds it, weighted by a learned confidence. The updated maps modulate the
    decoder's stages; the bottleneck receives the unmodified deepest map.

    Args:
        size: side of the SR image in pixels.
        dictionary: ``dict(file=PATH, dtype='float32' | 'float16')`` for a file written
            by ``tools/build_dictionary.py``, or ``dict(num_atoms=K)`` for random
            atoms (with a warning; 0 for none). See ``build_dictionary``.
        eye_share: distance between the eyes as a share of the side in the dataset's
            alignment; determines the sides of the atoms.
        scale, layout, encoder, width: as for :class:`EncoderDecoder`.
        use_atoms: False is an ablation that measures the contribution of the
            dictionary. Boxes, confidence blocks and parameters stay, but the crop's
            own feature replaces the atom, resized to the atom's side (bilinear) and
            back (nearest) as an atom is; this does not change a box of the atom's
            size. With ``dictionary=dict(num_atoms=0)`` the dictionary stores the
            sides only.

    Raises:
        ValueError: the dictionary was built for another layout, encoder or size, or
            has no atoms although ``use_atoms`` is set.
    """

    uses_boxes = True

    def __init__(self, size: int, dictionary: dict, eye_share: float = FFHQ_EYE_SHARE,
                 scale: int = 8, layout: str = 'B', encoder: Optional[dict] = None,
                 width: float = 1.0, use_atoms: bool = True) -> None:
        super().__init__(scale, layout, encoder, width)
        self.size, self.eye_share, self.use_atoms = size, eye_share, use_atoms
        self.dictionary = build_dictionary(
            self.encoder, size, eye_share, **dictionary)
        if use_atoms and not all(map(all, self.dictionary.spec.num_atoms.values())):
            raise ValueError(
                'The dictionary has no atoms for at least one component and level. Set '
                'num_atoms >= 1, or use_atoms=False for the ablation without atoms.')
        self.confidence = nn.ModuleDict({
            component: nn.ModuleList(
                ConfidenceBlock(channels) for channels in self.encoder.channels)
            for component in COMPONENTS
        })

    def transfer(self, maps: List[Tensor], boxes: Tensor) -> List[Tensor]:
        """Applies the dictionary feature transfer at every level.

        Args:
            maps: the encoder's maps, finest first.
            boxes: (B, 4, 4) in SR pixels.

        Returns:
            New maps in which the box of each component is replaced; ``maps`` is not
            modified. If boxes overlap, the later component wins, as in DFDNet.
        """
        strides = layout_of(self.encoder.layout).strides
        updated = []
        for level, (feature, stride) in enumerate(zip(maps, strides)):
            result = feature.clone()
            for order, component in enumerate(COMPONENTS):
                regions = BoxRegions(boxes[:, order], stride, feature.shape[-2:])
                window = self._transfer_one(component, level, feature, regions)
                result = regions.paste_(result, window)
            updated.append(result)
        return updated

    def _transfer_one(self, component: str, level: int, feature: Tensor,
                      regions: BoxRegions) -> Tensor:
        crop = regions.cut(feature)
        side = self.dictionary.spec.sides[component][level]
        with torch.autocast(feature.device.type, enabled=False):
            resized = regions.resize(crop.float(), side)
            atom = (self.dictionary(component, level, resized)
                    if self.use_atoms else resized)
            atom = regions.expand(atom)
        confidence = self.confidence[component][level](atom - crop, regions.mask)
        return crop + confidence * atom

    @torch.no_grad()
    def matching_atoms(self, image: Tensor, boxes: Tensor) -> Tensor:
        """Returns the atom that matches each component of an image best, per level.

        Args:
            image: (B, 3, H, W) RGB in [0, 1] at SR size, such as HR.
            boxes: (B, 4, 4) in SR pixels.

        Returns:
            Indices (B, 4, L).
        """
        strides, found = layout_of(self.encoder.layout).strides, []
        for level, (feature, stride) in enumerate(zip(self.encoder(image), strides)):
            for order, component in enumerate(COMPONENTS):
                regions = BoxRegions(boxes[:, order], stride, feature.shape[-2:])
                side = self.dictionary.spec.sides[component][level]
                crop = regions.cut(feature).float()
                with torch.autocast(feature.device.type, enabled=False):
                    crop = regions.resize(crop, side)
                found.append(self.dictionary.match(component, level, crop))
        return torch.stack(found, 1).unflatten(1, (-1, len(COMPONENTS))).mT

    def forward(self, lr: Tensor, boxes: Tensor,
                encoded: Optional[List[Tensor]] = None) -> Tensor:
        """Returns the SR image.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].
            boxes: (B, 4, 4), left eye, right eye, nose, mouth, each x1, y1, x2, y2 in
                SR pixels.
            encoded: result of ``encode(lr)``, if available.

        Returns:
            (B, 3, h · scale, w · scale) RGB, not clamped.

        Raises:
            ValueError: ``boxes`` has another shape.
        """
        if tuple(boxes.shape) != (len(lr), len(COMPONENTS), 4):
            raise ValueError(
                f'Expected boxes of shape ({len(lr)}, 4, 4), found '
                f'{tuple(boxes.shape)}.')
        maps = self.encode(lr) if encoded is None else encoded
        return self.decoder(maps[-1], self.transfer(maps, boxes))


def dictionary_shape(encoder: Encoder, size: int,
                     eye_share: float) -> dict:
    """Returns the arguments of ``DictionarySpec`` that follow from encoder and size.

    Raises:
        ValueError: the layout does not support the size.
    """
    layout = layout_of(encoder.layout)
    if layout.only_side not in (None, size):
        raise ValueError(
            f'Layout {encoder.layout} supports {layout.only_side} px only, found '
            f'{size}.')
    sides = atom_sides(size, layout.reference_side, eye_share, len(layout.strides))
    return dict(channels=encoder.channels, sides=sides, unbiased=layout.unbiased)


def build_dictionary(
    encoder: Encoder, size: int, eye_share: float, file: Optional[str] = None,
    num_atoms: Optional[Union[int, Dict[str, Sequence[int]]]] = None,
    sides: Optional[Dict[str, Sequence[int]]] = None, dtype: str = 'float32',
) -> ComponentDictionary:
    """Builds a dictionary from its config.

    The atoms are loaded from ``file``, or allocated for a checkpoint to fill.

    Args:
        encoder: the encoder whose features the atoms are.
        size: side of the SR image in pixels.
        eye_share: distance between the eyes as a share of the side.
        file: a dictionary written by ``tools/build_dictionary.py``.
        num_atoms: number of atoms, or one number per level for each component. The
            atoms are random unless a checkpoint is about to be loaded. With 0 the
            dictionary stores the sides only.
        sides: sides of these atoms if they differ from ``atom_sides``.
        dtype: dtype of the atoms.

    Raises:
        ValueError: neither or both of ``file`` and ``num_atoms`` are set, or the file
            does not match.
    """
    if (file is None) == (num_atoms is None):
        raise ValueError(
            'dictionary: expected either file=PATH, written by '
            f'tools/build_dictionary.py, or num_atoms=K; found file={file!r}, '
            f'num_atoms={num_atoms!r}.')
    shape = dictionary_shape(encoder, size, eye_share)
    torch_dtype = getattr(torch, dtype)
    if file is not None:
        return load_dictionary(file, encoder=encoder, dtype=torch_dtype, **shape)
    if sides is not None:
        shape['sides'] = sides
    spec = (DictionarySpec(num_atoms=num_atoms, **shape)
            if isinstance(num_atoms, dict) else
            DictionarySpec.uniform(num_atoms=num_atoms, **shape))
    dictionary = ComponentDictionary(spec, torch_dtype)
    if num_atoms == 0 or weights_are_to_follow():  # the checkpoint overwrites them
        return dictionary
    announce_random(f'{num_atoms} dictionary atoms per component')
    return dictionary.randomise_()
