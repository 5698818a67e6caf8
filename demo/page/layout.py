"""The layout of the page and the actions of its controls."""

import html
import secrets
from pathlib import Path
from typing import Any, List, Tuple

import gradio as gr
from gradio.themes.utils.fonts import Font
from PIL import Image

from fdsr.apis.images import srgb_tag
from page.examples import Example
from page.report import PLACEHOLDER, comparison, faces_table, summary_line
from page.restoring import (
    LIMITS,
    Models,
    Options,
    Outcome,
    Refused,
    check_image,
    restore,
)

TITLE = 'Face super-resolution'
INTRODUCTION = f"""\
# {TITLE}
Restores small faces of about 32 pixels, as a face crop or in a whole photograph. The \
network generates plausible details from what faces look like in general, so the \
result is not evidence of a person's identity.
"""
_STYLE = Path(__file__).with_name('style.css')
_FONTS = ('Inter', 'Segoe UI', 'Roboto', 'Helvetica Neue', 'Arial', 'sans-serif')
#: Number of requests that run at the same time, and that may wait.
_AT_ONCE, _WAITING = 2, 32
#: Instant events bypass the queue. Gradio's client listens to the queue only while it
#: contains an event; a button pressed just when the last event leaves it would never
#: receive its result.
_AT_ONCE_ANSWERED = dict(queue=False, api_name=False, show_progress='hidden')


def build_page(models: Models, examples: List[Example], folder: Path) -> gr.Blocks:
    """Builds the page.

    Args:
        models: the available models.
        examples: the example images.
        folder: folder for results; Gradio serves only files in its own folder.
    """
    with gr.Blocks(title=TITLE, theme=_theme(), css_paths=_STYLE,
                   analytics_enabled=False) as page:
        gr.Markdown(INTRODUCTION, elem_classes='introduction')
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                controls, notice = _controls(models)
                button = gr.Button('Restore', variant='primary', size='lg')
                gallery = _gallery(examples)
            with gr.Column(scale=5, min_width=480):
                results = _results()
        _connect(Actions(models, examples, folder), controls, notice, button, gallery,
                 results)
    return page.queue(max_size=_WAITING, default_concurrency_limit=8)


def _theme() -> gr.themes.Base:
    """Returns Gradio's theme with fonts of the visitor's system."""
    return gr.themes.Default(
        primary_hue='indigo', neutral_hue='slate', radius_size='md',
        font=[Font(name) for name in _FONTS], font_mono=Font('monospace'))


def _controls(models: Models) -> Tuple[List[gr.components.Component], gr.HTML]:
    """Returns the input controls and the notice for unsupported files."""
    source = gr.Image(label='Image', sources=['upload', 'clipboard'], height=300,
                       type='filepath', elem_id='source')
    notice = gr.HTML(elem_id='notice', padding=False)
    gr.Markdown(f'{LIMITS}.', elem_classes='hint')
    whole = gr.Checkbox(label='Whole photograph (off: one face crop)')
    scale = gr.Slider(1, 8, 2, step=1, label='Output scale', visible=False)
    large = gr.Checkbox(label='Large faces too (useful if they are blurred)',
                        visible=False)
    model = gr.Dropdown(models.labels, value=models.labels[0], label='Model',
                        interactive=len(models.labels) > 1)
    whole.change(lambda on: [gr.update(visible=on)] * 2, whole, [scale, large],
                 **_AT_ONCE_ANSWERED)
    return [source, model, whole, scale, large], notice


def _gallery(examples: List[Example]) -> gr.Dataset:
    return gr.Dataset(
        label='Examples: synthetic faces of 32 pixels, a small and a large photograph',
        components=[gr.Image(visible=False)], type='index',
        samples=[[str(example.path)] for example in examples], layout='gallery',
        elem_id='examples')


def _results() -> List[gr.components.Component]:
    slider = gr.HTML(PLACEHOLDER, elem_id='result', padding=False)
    with gr.Row(elem_classes='outcome'):
        summary = gr.Markdown(elem_id='summary')
        download = gr.DownloadButton('Download as PNG', interactive=False,
                                     elem_id='download', scale=0, min_width=200)
    faces = gr.HTML(elem_id='faces', padding=False)
    return [slider, summary, faces, download]


class Actions:
    """The actions of the buttons, the gallery and the upload.

    Args:
        models: the available models.
        examples: the example images, in the order of the gallery.
        folder: folder for uploads and results.
    """

    def __init__(self, models: Models, examples: List[Example], folder: Path) -> None:
        self._models, self._examples, self._folder = models, examples, folder

    def restore(self, payload: Any, model: str, whole: bool, scale: float,
                large: bool) -> Tuple[Any, ...]:
        """Restores the image and returns the values of the result components."""
        options = Options(model, bool(whole), int(scale), bool(large))
        try:
            path = _uploaded(payload, self._folder)
            return _shown(restore(self._models, path, options), path, self._folder)
        except Refused as error:
            _warn(error)
            return PLACEHOLDER, '', '', gr.update(value=None, interactive=False)
        except Exception as error:
            raise gr.Error('The image could not be restored. See the output of the '
                           'server for the error.', duration=None) from error

    def screen(self, payload: Any) -> Tuple[Any, str]:
        """Removes an unsupported file from the page right after the upload."""
        try:
            check_image(_uploaded(payload, self._folder))
        except Refused as error:
            return None, f'<p role="alert">{html.escape(str(error))}</p>'
        return gr.skip(), ''

    def take_example(self, index: int) -> Tuple[str, str, bool, int, bool]:
        """Returns the image, an empty notice and the settings of an example."""
        example = self._examples[index]
        return str(example.path), '', example.whole, example.scale, False


def _connect(actions: Actions, controls: List[gr.components.Component], notice: gr.HTML,
             button: gr.Button, gallery: gr.Dataset,
             results: List[gr.components.Component]) -> None:
    source, _, whole, scale, large = controls
    # Without `preprocess=False` Gradio would open the file itself and fail with an
    # unclear message. It would also read any file and fetch any URL that a request
    # names.
    button.click(actions.restore, controls, results, api_name=False, preprocess=False,
                 concurrency_limit=_AT_ONCE)
    source.upload(actions.screen, source, [source, notice], preprocess=False,
                   **_AT_ONCE_ANSWERED)
    gallery.click(actions.take_example, gallery, [source, notice, whole, scale, large],
                  **_AT_ONCE_ANSWERED)


def _uploaded(payload: Any, folder: Path) -> Path:
    """Returns the path of an uploaded file or of an example.

    Args:
        payload: the file as the browser describes it.
        folder: folder that contains uploads and examples.

    Raises:
        Refused: no file, or a file outside the folder.
    """
    path = payload.get('path') if isinstance(payload, dict) else None
    if not isinstance(path, str) or not path:
        raise Refused('Choose an image first.')
    path = Path(path).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Refused('This image was not uploaded by you. Upload it first.')
    return path


def _warn(error: Refused) -> None:
    # Gradio renders messages as HTML, and this one may contain a file name
    gr.Warning(html.escape(str(error)), duration=None, title='Not restored')


def _shown(outcome: Outcome, source: Path, folder: Path) -> Tuple[Any, ...]:
    """Returns the values of the result components."""
    # an unguessable name, so that no other visitor can download the result
    folder = folder / secrets.token_hex(16)
    folder.mkdir()
    file = folder / f'{source.stem}_restored.png'
    Image.fromarray(outcome.image).save(file, compress_level=3, pnginfo=srgb_tag())
    return (comparison(outcome.source, outcome.image), summary_line(outcome),
            faces_table(outcome.faces), gr.update(value=str(file), interactive=True))
