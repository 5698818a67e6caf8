"""Model cards: what somebody has to know before using weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Sequence, Union

import torch
from torch import nn

from fdsr.apis.networks import FaceGeometry, example_inputs
from fdsr.reporting.tables import format_table
from fdsr.utils.files import write_bytes

_NOTHING_SAID = ('*Nobody has written down yet what this network was trained on, how, '
                 'and where it fails.*')


@dataclass(frozen=True)
class Facts:
    """What is known of a published file.

    Args:
        name: of the model.
        file: of the weights.
        sha256: of the file.
        size_mb: of the file, 10^6 bytes.
        config: that builds the network.
        licence: of the weights.
        precision: ``fp16`` or ``fp32``.
        setting: how faces are cut for it.
        parameters: millions.
        gmacs: 10^9 multiply-adds a face.
        rounding: largest difference to the source on random faces, in steps of 1/255.
    """

    name: str
    file: str
    sha256: str
    size_mb: float
    config: Dict[str, Any]
    licence: str
    precision: str
    setting: FaceGeometry
    parameters: float
    gmacs: float
    rounding: float

    @classmethod
    def of(cls, name: str, file: Path, sha256: str, config: Dict[str, Any],
           licence: str, half: bool, setting: FaceGeometry, network: nn.Module,
           source: nn.Module) -> 'Facts':
        """Looks at a file's network beside the one that it was made from."""
        from fdsr.profiling.measuring import count_gmacs
        faces = example_inputs(network, setting)
        with torch.no_grad():
            difference = (network(*faces) - source(*faces)).abs().max()
        one = [value[:1] for value in faces]
        return cls(
            name, file.name, sha256, file.stat().st_size / 1e6, config, licence,
            'fp16' if half else 'fp32', setting,
            sum(value.numel() for value in network.parameters()) / 1e6,
            count_gmacs(lambda: network(*one)), 255 * float(difference))


def write_card(path: Path, facts: Facts, about: str = '',
               results: Sequence[str] = ()) -> Path:
    """Writes a model card in Markdown.

    Args:
        path: of the card.
        facts: of the file.
        about: Markdown: data, training, limits.
        results: what ``results_of`` made of metrics.
    """
    parts = [f'# {facts.name}', about.strip() or _NOTHING_SAID, _table_of(facts),
             _usage(facts), *results]
    write_bytes(path, ('\n\n'.join(parts) + '\n').encode())
    return path


def _table_of(facts: Facts) -> str:
    setting = facts.setting
    rows = {
        'network': f'`{facts.config["type"]}`, {facts.parameters:.2f} M parameters, '
                   f'{facts.gmacs:.2f} GMACs a face',
        'input': f'{setting.lr_size}×{setting.lr_size} px, RGB in [0, 1]',
        'output': f'{setting.size}×{setting.size} px (×{setting.scale}), RGB in '
                  '[0, 1], not clamped',
        'faces': f'squares, the eyes {setting.eye_share:.3f} of the side apart',
        'file': f'`{facts.file}`, {facts.size_mb:.2f} MB, {facts.precision}; off its '
                f'source by at most {facts.rounding:.2f}/255 on random input',
        'SHA-256': f'`{facts.sha256}`',
        'licence': facts.licence,
    }
    return '\n'.join(['## Facts', '', '| | |', '|---|---|',
                      *(f'| {name} | {value} |' for name, value in rows.items())])


def _usage(facts: Facts) -> str:
    return f'''## Use

```python
from fdsr.apis import FaceSuperResolver

sr = FaceSuperResolver('{facts.file}')
face = sr('face.png')                  # a cut-out face, uint8 RGB
photo = sr.restore_photo('photo.jpg')  # photo.image, photo.faces
```'''


def read_about(path: Union[str, Path]) -> str:
    """What somebody has written of a network, for its card.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no text at {path}: --about takes a Markdown file on data, '
            'training and limits.')
    try:
        return path.read_text(encoding='utf-8')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no text in UTF-8 ({error}).') from error


def results_of(path: Union[str, Path]) -> str:
    """The results of a test run as a section of a card.

    Args:
        path: a ``metrics.json`` of ``tools/test.py``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is none of these.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'There are no metrics at {path}. tools/test.py --out writes them.')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        table = format_table(content['models'], content['protocol'],
                             content['num_images'], content['skipped'])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} is no metrics.json of tools/test.py ({error!r}).') from error
    return f'## Results\n\n{table}'
