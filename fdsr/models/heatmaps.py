"""Landmark heatmaps: rendering points, and reading points from the maxima."""

import torch
from torch import Tensor

#: Smallest value of a heatmap in logarithms.
_SMALLEST = 1e-6
#: Standard deviation of rendered points in pixels of the heatmap.
SIGMA = 1.5


def render_heatmaps(points: Tensor, image_side: int, side: int,
                    sigma: float = SIGMA) -> Tensor:
    """Renders one Gaussian with a maximum of 1 for each point.

    Args:
        points: (B, K, 2), x then y in pixels of the image; (0, 0) is the centre of the
            top left pixel. A point that is not finite gives an empty heatmap.
        image_side: side of the square image.
        side: side of the heatmaps.
        sigma: standard deviation in pixels of the heatmap.

    Returns:
        (B, K, side, side), float32.
    """
    points = points.float()
    centres = (points + 0.5) * (side / image_side) - 0.5
    axis = torch.arange(side, device=points.device, dtype=torch.float32)
    x, y = ((axis - centres[..., index, None]).square() for index in (0, 1))
    bells = torch.exp(-(y[..., :, None] + x[..., None, :]) / (2 * sigma**2))
    return torch.where(points.isfinite().all(-1)[..., None, None], bells, 0.0)


def points_from_heatmaps(heatmaps: Tensor, image_side: int) -> Tensor:
    """Locates each point at the maximum of its heatmap, with subpixel accuracy.

    A parabola through the logarithms of the maximum and its two neighbours gives the
    offset along each axis, which is exact for a Gaussian.

    Args:
        heatmaps: (B, K, h, h).
        image_side: side of the square image.

    Returns:
        (B, K, 2) float32, x then y in pixels of the image. NaN for a heatmap without a
        positive value.
    """
    height, width = heatmaps.shape[-2:]
    flat = heatmaps.float().flatten(2)
    highest, best = flat.max(-1, keepdim=True)
    logarithms = flat.clamp(min=_SMALLEST).log()
    points = []
    for position, size, step in ((best % width, width, 1),
                                 (best // width, height, width)):
        inside = (position > 0) & (position < size - 1)
        before, centre, after = (
            logarithms.gather(-1, torch.where(inside, best + offset, best))
            for offset in (-step, 0, step))
        curvature = (2 * centre - before - after).clamp(min=_SMALLEST)
        points.append(position + ((after - before) / (2 * curvature)).clamp(-0.5, 0.5))
    found = (torch.cat(points, -1) + 0.5) * (image_side / width) - 0.5
    return torch.where(highest > 0, found, torch.nan)


def attention_map(heatmaps: Tensor) -> Tensor:
    """Returns the maximum over all landmarks, limited to [0, 1].

    Args:
        heatmaps: (B, K, h, w).

    Returns:
        (B, 1, h, w).
    """
    return heatmaps.amax(dim=1, keepdim=True).clamp(0, 1)
