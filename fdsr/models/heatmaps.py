"""Landmark heatmaps: rendering points, and reading points from the maxima."""

import torch
from torch import Tensor

#: Half side of the window around a maximum whose centre of mass is the point.
_REACH = 3
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
    """Locates each point as the centre of mass around the maximum of its heatmap.

    The centre of mass uses a window of 7×7 pixels and the positive values only.

    Args:
        heatmaps: (B, K, h, h).
        image_side: side of the square image.

    Returns:
        (B, K, 2) float32, x then y in pixels of the image. NaN for a heatmap without a
        positive value.
    """
    heatmaps = heatmaps.float().clamp(min=0)
    batch, count, height, width = heatmaps.shape
    best = heatmaps.flatten(2).argmax(-1)
    rows, columns = best // width, best % width
    weights = [
        ((torch.arange(size, device=heatmaps.device) - peak[..., None]).abs() <= _REACH)
        for size, peak in ((height, rows), (width, columns))]
    window = heatmaps * weights[0][..., :, None] * weights[1][..., None, :]
    total = window.sum((-2, -1))
    x = (window.sum(-2) * torch.arange(width, device=heatmaps.device)).sum(-1) / total
    y = (window.sum(-1) * torch.arange(height, device=heatmaps.device)).sum(-1) / total
    return (torch.stack([x, y], -1) + 0.5) * (image_side / width) - 0.5


def attention_map(heatmaps: Tensor) -> Tensor:
    """Returns the maximum over all landmarks, limited to [0, 1].

    Args:
        heatmaps: (B, K, h, w).

    Returns:
        (B, 1, h, w).
    """
    return heatmaps.amax(dim=1, keepdim=True).clamp(0, 1)
