"""What happened to a picture, in HTML."""

import base64
import html
import io
from typing import List, Optional, Tuple

import numpy as np
from PIL import Image

from page.restoring import FaceReport, Outcome

#: What the page shows has at most so many pixels a side; the download is whole.
_LONGEST_SHOWN, _THUMBNAIL = 1600, 144
#: A small result is not enlarged more than this on the screen.
_MOST_ENLARGED = 3
#: A group photograph's faces; the page stays light.
_MOST_ROWS = 60
PLACEHOLDER = """\
<div class="placeholder"><p>Choose a picture or an example, then press <b>Restore</b>.
<br>Before and after will be here, with a slider between them.</p></div>"""
_COMPARISON = """\
<figure class="comparison" style="--ratio: {ratio:.4f}; --most: {most}px">
<img alt="before" src="{before}"><img alt="after" class="after" src="{after}">
<span class="bar"></span><figcaption><span>before</span><span>after</span></figcaption>
<input type="range" min="0" max="100" step="0.1" value="50"
 aria-label="from before to after"
 oninput="this.parentNode.style.setProperty('--at', this.value + '%')">
</figure>"""


def comparison(picture: np.ndarray, image: np.ndarray) -> str:
    """A picture and what was made of it, one over the other, with a slider.

    Args:
        picture: uint8 (h, w, 3), as it came in; brought to the other's size.
        image: uint8 (H, W, 3), the result.
    """
    height, width = image.shape[:2]
    factor = min(1, _LONGEST_SHOWN / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return _COMPARISON.format(
        ratio=width / height, most=_MOST_ENLARGED * size[0],
        before=_inline(picture, size, 92), after=_inline(image, size, 92))


def summary_line(outcome: Outcome) -> str:
    """What was done, how long it took, how large the result is, as Markdown."""
    height, width = outcome.image.shape[:2]
    device = 'CPU' if outcome.device == 'cpu' else 'GPU'
    return (f'**{outcome.summary}** {width} × {height} pixels, '
            f'{outcome.seconds:.1f} s on the {device}.')


def faces_table(faces: List[FaceReport]) -> str:
    """A table with a row for each face: what came in, what came out, and why."""
    if not faces:
        return ''
    rows = ''.join(map(_row, faces[:_MOST_ROWS]))
    more = len(faces) - _MOST_ROWS
    rest = f'<p>… and {more} more.</p>' if more > 0 else ''
    return ('<table class="faces"><thead><tr><th>Before</th><th>After</th>'
            '<th>Status</th><th>What happened</th></tr></thead>'
            f'<tbody>{rows}</tbody></table>{rest}')


def _row(face: FaceReport) -> str:
    mark = 'restored' if face.after is not None else 'left'
    return (f'<tr><td>{_thumbnail(face.before)}</td><td>{_thumbnail(face.after)}</td>'
            f'<td><span class="status {mark}">{html.escape(face.status)}</span></td>'
            f'<td>{html.escape(face.message)}</td></tr>')


def _thumbnail(image: Optional[np.ndarray]) -> str:
    """A small picture; a dash where there is none."""
    if image is None or not image.size:
        return '–'
    factor = _THUMBNAIL / max(image.shape[:2])
    size = tuple(max(1, round(side * factor)) for side in image.shape[1::-1])
    return f'<img alt="" src="{_inline(image, size, 85)}">'


def _inline(image: np.ndarray, size: Tuple[int, int], quality: int) -> str:
    """A picture as an address that holds it, so that no file has to be kept."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    if picture.size != size:
        picture = picture.resize(size, Image.BICUBIC)
    with io.BytesIO() as file:
        picture.save(file, 'JPEG', quality=quality, subsampling=0)
        return f'data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}'
