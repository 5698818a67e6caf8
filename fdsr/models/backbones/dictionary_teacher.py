"""The teacher: a restorer that reads a dictionary of facial components."""

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
    """How far an atom is to be believed, from its difference to the feature.

    The slices of a batch lie in one window with a mask; zeroing what is beyond each
    slice before either convolution gives it the zero padding it had on its own.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = sn_conv(channels, channels)
        self.act = nn.LeakyReLU(0.2)
        self.second = sn_conv(channels, channels)

    def forward(self, difference: Tensor, mask: Tensor) -> Tensor:
        """(B, C, H, W) and its mask (B, 1, H, W) to (B, C, H, W)."""
        hidden = self.act(self.first(difference * mask))
        return self.second(hidden * mask)


@MODELS.register_module()
class DictionaryTeacher(EncoderDecoder):
    """DFDNet's dictionary feature transfer in the student's encoder-decoder.

    For each component and level (DFDNet, ECCV 2020, sec. 3.2–3.4): cut the box out of
    the encoder's map, find the atom that fits best after component AdaIN, and add it
    weighted by a learned confidence; the maps so changed style the decoder. The
    bottleneck takes the deepest map as it was.

    Args:
        size: side of the SR picture.
        dictionary: ``dict(file=PATH, dtype='float32' | 'float16')`` for one that
            ``tools/build_dictionary.py`` made, or ``dict(num_atoms=K)`` for random
            atoms, which are announced, 0 for none; see ``build_dictionary``.
        eye_share: distance of the eyes as a share of the side, as the data set
            aligns its faces; the atoms' sides follow it.
        scale, layout, encoder, width: as for :class:`EncoderDecoder`.
        use_atoms: False is a control that tells what the dictionary adds. Boxes,
            confidence blocks and parameters stay, but no atom is read: in its place
            stands the crop's own feature, brought to the atoms' side (bilinear) and
            back (nearest) as an atom is; a box as small as an atom is unchanged by
            that. ``dictionary=dict(num_atoms=0)`` then keeps nothing but the sides.

    Raises:
        ValueError: the dictionary was built for another layout, encoder or size, or
            has no atoms to use.
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
                'A component of the dictionary has no atoms at some level. Give '
                'num_atoms >= 1, or use_atoms=False for the control without them.')
        self.confidence = nn.ModuleDict({
            component: nn.ModuleList(
                ConfidenceBlock(channels) for channels in self.encoder.channels)
            for component in COMPONENTS
        })

    def transfer(self, maps: List[Tensor], boxes: Tensor) -> List[Tensor]:
        """Dictionary feature transfer at every level.

        Args:
            maps: the encoder's, finest first.
            boxes: (B, 4, 4) in SR pixels.

        Returns:
            The maps with each component's box replaced; the maps given stay as they
            are. Where boxes overlap, the later component is on top, as in DFDNet.
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

    def forward(self, lr: Tensor, boxes: Tensor,
                encoded: Optional[List[Tensor]] = None) -> Tensor:
        """Super-resolves with the dictionary.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1].
            boxes: (B, 4, 4), left eye, right eye, nose, mouth, each x1, y1, x2, y2 in
                SR pixels.
            encoded: what ``encode(lr)`` returned, if it is at hand.

        Returns:
            (B, 3, h · scale, w · scale) RGB, meant for [0, 1].

        Raises:
            ValueError: the boxes' shape is another one.
        """
        if tuple(boxes.shape) != (len(lr), len(COMPONENTS), 4):
            raise ValueError(
                f'Expected boxes of shape ({len(lr)}, 4, 4), found '
                f'{tuple(boxes.shape)}.')
        maps = self.encode(lr) if encoded is None else encoded
        return self.decoder(maps[-1], self.transfer(maps, boxes))


def dictionary_shape(encoder: Encoder, size: int,
                     eye_share: float) -> dict:
    """The arguments of ``DictionarySpec`` that an encoder and a size determine.

    Raises:
        ValueError: the layout is not for that size.
    """
    layout = layout_of(encoder.layout)
    if layout.only_side not in (None, size):
        raise ValueError(
            f'Layout {encoder.layout} is for {layout.only_side} px alone, found '
            f'{size}.')
    sides = atom_sides(size, layout.reference_side, eye_share, len(layout.strides))
    return dict(channels=encoder.channels, sides=sides, unbiased=layout.unbiased)


def build_dictionary(
    encoder: Encoder, size: int, eye_share: float, file: Optional[str] = None,
    num_atoms: Optional[Union[int, Dict[str, Sequence[int]]]] = None,
    sides: Optional[Dict[str, Sequence[int]]] = None, dtype: str = 'float32',
) -> ComponentDictionary:
    """The dictionary of a config: read from a file, or to be filled from a checkpoint.

    Args:
        encoder: whose features the atoms are.
        size: side of the SR picture.
        eye_share: distance of the eyes as a share of the side.
        file: a dictionary that ``tools/build_dictionary.py`` made.
        num_atoms: one number, or one a level of each component; without a checkpoint
            that fills them, the atoms are random; 0 keeps the sides alone.
        sides: of these atoms, where they are not ``atom_sides``.
        dtype: to keep the atoms in.

    Raises:
        ValueError: neither or both of ``file`` and ``num_atoms`` are given, or the
            file does not fit.
    """
    if (file is None) == (num_atoms is None):
        raise ValueError(
            'dictionary takes either file=PATH, made by tools/build_dictionary.py, or '
            f'num_atoms=K for random atoms; found file={file!r}, '
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
    if num_atoms == 0 or weights_are_to_follow():  # noise would be for nothing
        return dictionary
    announce_random(f'{num_atoms} atoms a component of the dictionary')
    return dictionary.randomise_()
