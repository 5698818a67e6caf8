"""A visualizer without matplotlib."""

from types import SimpleNamespace
from typing import Any

from mmengine.visualization import Visualizer

from fdsr.registry import VISUALIZERS


@VISUALIZERS.register_module()
class ScalarVisualizer(Visualizer):
    """Writes scalars and configs to its backends (JSON, TensorBoard, …).

    mmengine's ``Visualizer`` also creates a figure, which imports matplotlib and takes
    a second at the start of every run. ``fdsr.SaveImagesHook`` saves images instead.

    Args:
        **kwargs: arguments of mmengine's ``Visualizer``.
    """

    def _initialize_fig(self, fig_cfg: Any) -> tuple:
        """Returns placeholders for canvas, figure and axes."""
        return None, SimpleNamespace(get_dpi=lambda: None), None
