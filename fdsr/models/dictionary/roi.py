"""Cuts one box per sample out of a feature map, and pastes it back.

This module slices instead of calling ``torchvision.ops.roi_align``. DFDNet resizes the
slice ``feature[y1:y2, x1:x2]``, so bilinear taps stop at the box; those of RoIAlign
reach half a pixel beyond it. Pasted values must also align with the map's pixels.

Boxes differ in size between samples. Slices are therefore stored in a window of the
size of the largest box, with a mask, and processed for the whole batch by indexing and
small matrix products.
"""

from typing import Tuple

import torch
from torch import Tensor


class BoxRegions:
    """One box per sample on a feature map.

    Coordinates are rounded down to the map, as in DFDNet. Boxes are clipped to the
    map; a box that would be empty keeps the nearest pixel.

    Args:
        boxes: (B, 4), x1, y1, x2, y2 in pixels of SR.
        stride: pixels of SR per pixel of the map.
        map_size: height and width of the map.
    """

    def __init__(self, boxes: Tensor, stride: int, map_size: Tuple[int, int]) -> None:
        height, width = map_size
        x1, y1, x2, y2 = torch.floor(boxes.float() / stride).long().unbind(dim=1)
        self.top, self.height = _clip(y1, y2, height)
        self.left, self.width = _clip(x1, x2, width)
        self._rows, row_mask = _window(self.top, self.height)
        self._columns, column_mask = _window(self.left, self.width)
        self._mask = row_mask[:, :, None] & column_mask[:, None, :]

    @property
    def mask(self) -> Tensor:
        """Mask (B, 1, H, W) of the pixels inside each sample's box."""
        return self._mask[:, None]

    def cut(self, feature: Tensor) -> Tensor:
        """Returns the slices of the boxes.

        Args:
            feature: (B, C, height, width) map.

        Returns:
            (B, C, H, W) window; outside a sample's box its last row and column are
            repeated.
        """
        batch = torch.arange(feature.shape[0], device=feature.device)[:, None, None]
        window = feature[batch, :, self._rows[:, :, None], self._columns[:, None, :]]
        return window.permute(0, 3, 1, 2)

    def resize(self, window: Tensor, side: int) -> Tensor:
        """Resizes each slice to one size, bilinear with ``align_corners=False``.

        Args:
            window: (B, C, H, W), as returned by ``cut``.
            side: side of the result.

        Returns:
            (B, C, side, side).
        """
        rows = _bilinear(self.height, side, window.shape[-2])
        columns = _bilinear(self.width, side, window.shape[-1])
        return _apply(rows.to(window), window, columns.to(window))

    def expand(self, atoms: Tensor) -> Tensor:
        """Resizes atoms to the sizes of the boxes, nearest neighbour.

        Args:
            atoms: (B, C, side, side).

        Returns:
            (B, C, H, W) window, zero outside a sample's box.
        """
        rows = _nearest(self.height, atoms.shape[-2], self._rows.shape[1])
        columns = _nearest(self.width, atoms.shape[-1], self._columns.shape[1])
        return _apply(rows.to(atoms), atoms, columns.to(atoms))

    def paste_(self, feature: Tensor, window: Tensor) -> Tensor:
        """Writes the slices into the map, in place, and returns the map.

        Args:
            feature: (B, C, height, width); must not be a leaf that requires grad.
            window: (B, C, H, W).
        """
        if torch.onnx.is_in_onnx_export():
            return self.pasted(feature, window)
        sample, row, column = self._mask.nonzero(as_tuple=True)
        place = (sample, slice(None), self._rows[sample, row],
                 self._columns[sample, column])
        feature[place] = window[sample, :, row, column].to(feature.dtype)
        return feature

    def pasted(self, feature: Tensor, window: Tensor) -> Tensor:
        """Returns the result of ``paste_`` as a new map, by products with 0 and 1.

        Slower, because it processes the whole map, but can be exported: ONNX has no
        counterpart of assigning to indices between slices.
        """
        rows = _places(self.top, self.height, feature.shape[-2], window.shape[-2])
        columns = _places(self.left, self.width, feature.shape[-1], window.shape[-1])
        placed = _apply(rows.to(window), window, columns.to(window))
        inside = rows.any(dim=2)[:, None, :, None] & columns.any(dim=2)[:, None, None]
        return torch.where(inside, placed.to(feature.dtype), feature)


def _places(start: Tensor, length: Tensor, size: int, window: int) -> Tensor:
    """Returns (B, size, window) bool: which window row belongs to each map row."""
    offsets = torch.arange(size, device=start.device)[None, :] - start[:, None]
    taps = torch.arange(window, device=start.device)
    return ((offsets[:, :, None] == taps)
            & (taps < length[:, None])[:, None, :])


def _clip(first: Tensor, last: Tensor, size: int) -> Tuple[Tensor, Tensor]:
    start = first.clamp(0, size - 1)
    stop = torch.maximum(last.clamp(max=size), start + 1)
    return start, stop - start


def _window(start: Tensor, length: Tensor) -> Tuple[Tensor, Tensor]:
    """Returns indices (B, N) on the map, and whether they belong to the box."""
    # length.max() stays a tensor, so that an exported network computes it
    offsets = torch.arange(length.max(), device=start.device)[None, :]
    inside = torch.minimum(offsets, length[:, None] - 1)
    return start[:, None] + inside, offsets < length[:, None]


def _bilinear(length: Tensor, side: int, window: int) -> Tensor:
    """Returns weights (B, side, window) of a bilinear resize of ``length`` pixels."""
    length = length[:, None].float()
    targets = torch.arange(side, device=length.device, dtype=torch.float32) + 0.5
    sources = (length / side) * targets[None, :] - 0.5
    sources = torch.minimum(sources.clamp(min=0), length - 1)
    taps = torch.arange(window, device=length.device, dtype=torch.float32)
    return (1 - (sources[:, :, None] - taps).abs()).clamp(min=0)


def _nearest(length: Tensor, side: int, window: int) -> Tensor:
    """Returns (B, window, side) bool, a nearest resize from ``side`` to ``length``."""
    # A true float32 division, as in torch's kernel, so that ties are resolved equally;
    # number / tensor would multiply by a rounded reciprocal.
    length = length[:, None].float()
    scale = torch.full_like(length, side) / length
    targets = torch.arange(window, device=length.device, dtype=torch.float32)
    sources = torch.floor(targets * scale).long().clamp(max=side - 1)
    chosen = sources[:, :, None] == torch.arange(side, device=length.device)
    return chosen & (targets < length)[:, :, None]


def _apply(rows: Tensor, image: Tensor, columns: Tensor) -> Tensor:
    return rows[:, None] @ image @ columns[:, None].transpose(-1, -2)
