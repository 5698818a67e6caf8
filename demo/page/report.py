"""The results of an image as HTML."""

import base64
import html
import io
from typing import List, Optional, Tuple

import numpy as np
from PIL import Image

from page.restoring import FaceReport, Outcome

#: Maximum side of the images on the page; the download has full size.
_LONGEST_SHOWN, _THUMBNAIL = 1600, 144
#: Maximum magnification of a small result on the screen.
_MOST_ENLARGED = 3
#: Maximum number of faces in the table.
_MOST_ROWS = 60
#: Labels of the kinds of images.
KINDS = {'auto': 'Automatic', 'face': 'Face crop', 'photo': 'Whole photograph'}
PLACEHOLDER = """\
<div class="placeholder"><p>Choose an image or an example, then press <b>Restore</b>.
<br>The result appears here, with a slider between before and after.</p></div>"""
_COMPARISON = """\
<figure class="comparison" style="--ratio: {ratio:.4f}; --most: {most}px">
<img alt="before" src="{before}"><img alt="after" class="after" src="{after}">
<span class="bar"></span><figcaption><span>before</span><span>after</span></figcaption>
<input type="range" min="0" max="100" step="0.1" value="50"
 aria-label="slider between before and after"
 oninput="this.parentNode.style.setProperty('--at', this.value + '%')">
</figure>"""


def comparison(source: np.ndarray, image: np.ndarray) -> str:
    """Returns input and result on top of each other, with a slider.

    Args:
        source: uint8 (h, w, 3), the input, which is resized to the size of the result.
        image: uint8 (H, W, 3), the result.
    """
    height, width = image.shape[:2]
    factor = min(1, _LONGEST_SHOWN / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return _COMPARISON.format(
        ratio=width / height, most=_MOST_ENLARGED * size[0],
        before=_inline(source, size, 92), after=_inline(image, size, 92))


def summary_line(outcome: Outcome) -> str:
    """Returns summary, kind, size and run time as Markdown."""
    height, width = outcome.image.shape[:2]
    device = 'CPU' if outcome.device == 'cpu' else 'GPU'
    by = 'automatic' if outcome.chosen else 'selected'
    return (f'**{outcome.summary}** {KINDS[outcome.kind]} ({by}), {width} × {height} '
            f'pixels, {outcome.seconds:.1f} s on the {device}.')


def faces_table(faces: List[FaceReport]) -> str:
    """Returns a table with one row per face: input, result, status and message."""
    if not faces:
        return ''
    rows = ''.join(map(_row, faces[:_MOST_ROWS]))
    more = len(faces) - _MOST_ROWS
    rest = f'<p>… and {more} more.</p>' if more > 0 else ''
    return ('<table class="faces"><thead><tr><th>Before</th><th>After</th>'
            '<th>Status</th><th>Details</th></tr></thead>'
            f'<tbody>{rows}</tbody></table>{rest}')


def _row(face: FaceReport) -> str:
    mark = 'restored' if face.after is not None else 'left'
    return (f'<tr><td>{_thumbnail(face.before)}</td><td>{_thumbnail(face.after)}</td>'
            f'<td><span class="status {mark}">{html.escape(face.status)}</span></td>'
            f'<td>{html.escape(face.message)}</td></tr>')


def _thumbnail(image: Optional[np.ndarray]) -> str:
    """Returns a thumbnail, or a dash if there is no image."""
    if image is None or not image.size:
        return '–'
    factor = _THUMBNAIL / max(image.shape[:2])
    size = tuple(max(1, round(side * factor)) for side in image.shape[1::-1])
    return f'<img alt="" src="{_inline(image, size, 85)}">'


def _inline(image: np.ndarray, size: Tuple[int, int], quality: int) -> str:
    """Returns an image as a data URL, which needs no file on the server."""
    shown = Image.fromarray(np.ascontiguousarray(image))
    if shown.size != size:
        shown = shown.resize(size, Image.BICUBIC)
    with io.BytesIO() as file:
        shown.save(file, 'JPEG', quality=quality, subsampling=0)
        return f'data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}'
