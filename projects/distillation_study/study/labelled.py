"""Training faces of which only some have HR."""

from typing import Any

from fdsr.datasets import VGGFace2Dataset
from fdsr.registry import DATASETS


@DATASETS.register_module()
class PartlyLabelledFaces(VGGFace2Dataset):
    """Marks the faces whose HR may be used with ``has_hr``.

    These are the faces that ``VGGFace2Dataset`` keeps with ``subset=num_labelled``. A
    pipeline passes ``has_hr`` on with ``meta_keys`` of ``PackInputs``.

    Args:
        num_labelled: number of faces with HR.
        subset: as for ``VGGFace2Dataset``; the marked faces may lie outside of it.
        **options: further arguments of ``VGGFace2Dataset``.
    """

    def __init__(self, num_labelled: int, subset: int | None = None,
                 **options: Any) -> None:
        super().__init__(subset=num_labelled, **options)
        self._labelled = {int(row) for row in self.rows}
        self.subset, self._rows = subset, None

    def load(self, index: int) -> dict[str, Any]:
        """Returns the item of ``VGGFace2Dataset`` with ``has_hr``."""
        return dict(super().load(index),
                    has_hr=int(self.rows[index]) in self._labelled)

    def protocol(self) -> dict[str, Any]:
        """Returns the facts of ``VGGFace2Dataset`` and the number of faces with HR."""
        return dict(super().protocol(), labelled=len(self._labelled))
