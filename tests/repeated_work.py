"""Work that trainings of the tests repeat, and that no result depends on."""

import mmengine.config.config
import pytest

from fdsr.datasets import synthetic_faces

_MOST_FACES = 1000


def avoid_repeated_work(patch: pytest.MonkeyPatch) -> None:
    """Renders each synthetic face once, and does not lay out the text of configs.

    Together, these would take half of the time of a toy training.
    """
    render, rendered = synthetic_faces.render_portrait, {}

    def render_once(face, size, eye_share):
        key = (face.key, size, eye_share)
        if key not in rendered:
            if len(rendered) == _MOST_FACES:
                rendered.clear()
            rendered[key] = render(face, size, eye_share)
        return tuple(array.copy() for array in rendered[key])

    patch.setattr(synthetic_faces, 'render_portrait', render_once)
    # yapf takes a quarter of a second
    patch.setattr(mmengine.config.config, 'FormatCode',
                  lambda text, **options: (text + '\n', True))
