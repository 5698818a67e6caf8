"""What the page looks like, and what its buttons do."""

import html
import secrets
from pathlib import Path
from typing import Any, List, Tuple

import gradio as gr
from gradio.themes.utils.fonts import Font
from PIL import Image

from page.examples import Example
from page.report import PLACEHOLDER, comparison, faces_table, summary_line
from page.restoring import (
    LIMITS,
    Models,
    Outcome,
    Refused,
    Wish,
    check_picture,
    restore,
)

TITLE = 'Face super-resolution'
INTRODUCTION = f"""\
# {TITLE}
Restores small faces, of about 32 pixels, cut out or in a whole photograph. The detail \
is made up from what faces look like in general: it is plausible, and no evidence of \
who somebody is.
"""
_STYLE = Path(__file__).with_name('style.css')
_FONTS = ('Inter', 'Segoe UI', 'Roboto', 'Helvetica Neue', 'Arial', 'sans-serif')
#: How many requests are worked on at once, and how many may wait.
_AT_ONCE, _WAITING = 2, 32
#: What takes no time stays out of the queue. Gradio's browser side listens to the queue
#: as long as something is in it; a button that is pressed in the moment in which the
#: last thing has left would never hear of its result.
_AT_ONCE_ANSWERED = dict(queue=False, api_name=False, show_progress='hidden')


def build_page(models: Models, examples: List[Example], folder: Path) -> gr.Blocks:
    """The page.

    Args:
        models: to choose from.
        examples: pictures to try.
        folder: for results; Gradio's own, so that it may hand them out.
    """
    with gr.Blocks(title=TITLE, theme=_theme(), css_paths=_STYLE,
                   analytics_enabled=False) as page:
        gr.Markdown(INTRODUCTION, elem_classes='introduction')
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                wishes, notice = _wishes(models)
                button = gr.Button('Restore', variant='primary', size='lg')
                gallery = _gallery(examples)
            with gr.Column(scale=5, min_width=480):
                results = _results()
        _connect(Actions(models, examples, folder), wishes, notice, button, gallery,
                 results)
    return page.queue(max_size=_WAITING, default_concurrency_limit=8)


def _theme() -> gr.themes.Base:
    """Gradio's, with the fonts that the visitor's machine has."""
    return gr.themes.Default(
        primary_hue='indigo', neutral_hue='slate', radius_size='md',
        font=[Font(name) for name in _FONTS], font_mono=Font('monospace'))


def _wishes(models: Models) -> Tuple[List[gr.components.Component], gr.HTML]:
    """What is asked for, and where is said that a file is no picture."""
    picture = gr.Image(label='Picture', sources=['upload', 'clipboard'], height=300,
                       type='filepath', elem_id='picture')
    notice = gr.HTML(elem_id='notice', padding=False)
    gr.Markdown(f'{LIMITS}.', elem_classes='hint')
    whole = gr.Checkbox(label='Whole photograph (off: one face, cut out)')
    scale = gr.Slider(1, 8, 2, step=1, label='Scale of the result', visible=False)
    large = gr.Checkbox(label='Large faces too (helps if they are blurred)',
                        visible=False)
    model = gr.Dropdown(models.labels, value=models.labels[0], label='Model',
                        interactive=len(models.labels) > 1)
    whole.change(lambda on: [gr.update(visible=on)] * 2, whole, [scale, large],
                 **_AT_ONCE_ANSWERED)
    return [picture, model, whole, scale, large], notice


def _gallery(examples: List[Example]) -> gr.Dataset:
    return gr.Dataset(
        label='Examples: drawn faces of 32 pixels, a photograph small and large',
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
    """What happens when something is pressed, chosen or uploaded.

    Args:
        models: to choose from.
        examples: in the order of the gallery.
        folder: for results, and that uploads lie in.
    """

    def __init__(self, models: Models, examples: List[Example], folder: Path) -> None:
        self._models, self._examples, self._folder = models, examples, folder

    def restore(self, payload: Any, model: str, whole: bool, scale: float,
                large: bool) -> Tuple[Any, ...]:
        """Restores the picture; returns what the results show."""
        wish = Wish(model, bool(whole), int(scale), bool(large))
        try:
            path = _uploaded(payload, self._folder)
            return _shown(restore(self._models, path, wish), path, self._folder)
        except Refused as error:
            _warn(error)
            return PLACEHOLDER, '', '', gr.update(value=None, interactive=False)
        except Exception as error:
            raise gr.Error('The picture could not be restored. What the server has '
                           'printed says why.', duration=None) from error

    def screen(self, payload: Any) -> Tuple[Any, str]:
        """Takes a file that is no picture away as soon as it has been uploaded."""
        try:
            check_picture(_uploaded(payload, self._folder))
        except Refused as error:
            return None, f'<p role="alert">{html.escape(str(error))}</p>'
        return gr.skip(), ''

    def take_example(self, index: int) -> Tuple[str, str, bool, int, bool]:
        """Picture, no notice, and settings of an example."""
        example = self._examples[index]
        return str(example.path), '', example.whole, example.scale, False


def _connect(actions: Actions, wishes: List[gr.components.Component], notice: gr.HTML,
             button: gr.Button, gallery: gr.Dataset,
             results: List[gr.components.Component]) -> None:
    picture, _, whole, scale, large = wishes
    # Without `preprocess=False` Gradio would open the file itself, and fail with a
    # message that nobody understands; it would also read other files, and fetch
    # pictures from addresses, that a request names.
    button.click(actions.restore, wishes, results, api_name=False, preprocess=False,
                 concurrency_limit=_AT_ONCE)
    picture.upload(actions.screen, picture, [picture, notice], preprocess=False,
                   **_AT_ONCE_ANSWERED)
    gallery.click(actions.take_example, gallery, [picture, notice, whole, scale, large],
                  **_AT_ONCE_ANSWERED)


def _uploaded(payload: Any, folder: Path) -> Path:
    """The file that a visitor has uploaded, or taken from the examples.

    Args:
        payload: what the browser says of it.
        folder: that such files lie in.

    Raises:
        Refused: none, or another file.
    """
    path = payload.get('path') if isinstance(payload, dict) else None
    if not isinstance(path, str) or not path:
        raise Refused('Choose a picture first.')
    path = Path(path).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Refused('This is no picture that you have uploaded.')
    return path


def _warn(error: Refused) -> None:
    # Gradio takes messages for HTML, and this one may hold a file's name
    gr.Warning(html.escape(str(error)), duration=None, title='This does not work')


def _shown(outcome: Outcome, source: Path, folder: Path) -> Tuple[Any, ...]:
    """An outcome as the result's components take it."""
    # a name that cannot be guessed, so that nobody else fetches it
    folder = folder / secrets.token_hex(16)
    folder.mkdir()
    file = folder / f'{source.stem}_restored.png'
    Image.fromarray(outcome.image).save(file, compress_level=3)
    return (comparison(outcome.picture, outcome.image), summary_line(outcome),
            faces_table(outcome.faces), gr.update(value=str(file), interactive=True))
