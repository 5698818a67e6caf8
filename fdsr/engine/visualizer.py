"""A visualizer that writes numbers and needs no matplotlib."""

from types import SimpleNamespace
from typing import Any

from mmengine.visualization import Visualizer

from fdsr.registry import VISUALIZERS


@VISUALIZERS.register_module()
class ScalarVisualizer(Visualizer):
    """Passes scalars and configs on to its back ends (JSON, TensorBoard, …).

    mmengine's ``Visualizer`` also creates a figure to draw on, which imports
    matplotlib and takes a second at the start of every run. Images are saved by
    ``fdsr.SaveImagesHook`` instead.

    Args:
        **kwargs: as for mmengine's ``Visualizer``.
    """

    def _initialize_fig(self, fig_cfg: Any) -> tuple:
        """Returns stand-ins for canvas, figure and axes."""
        return None, SimpleNamespace(get_dpi=lambda: None), None
