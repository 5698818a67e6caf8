"""Writes model cards."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fdsr.apis.networks import FaceGeometry, example_inputs
from fdsr.evaluation.protocol import format_table
from fdsr.utils.files import write_bytes

_NO_ABOUT = '*The training data, the training and the limits are not documented yet.*'


@dataclass(frozen=True)
class Facts:
    """Describes a published file.

    Args:
        name: name of the model.
        file: name of the file.
        sha256: SHA-256 of the file.
        bytes: size of the file.
        config: config that builds the network.
        licence: licence of the weights.
        precision: ``fp16`` or ``fp32``.
        geometry: size, scale and alignment of its faces.
        parameters: number of parameters in millions.
        gmacs: 10^9 multiply-adds per face.
        rounding: maximum difference from the source's output on random faces, in steps
            of 1/255.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    config: dict[str, Any]
    licence: str
    precision: str
    geometry: FaceGeometry
    parameters: float
    gmacs: float
    rounding: float

    @classmethod
    def of(cls, name: str, file: Path, sha256: str, config: dict[str, Any],
           licence: str, half: bool, geometry: FaceGeometry, network: nn.Module,
           source: nn.Module) -> 'Facts':
        """Measures a file's network and compares it with its source."""
        from fdsr.profiling.measuring import count_gmacs
        faces = example_inputs(network, geometry)
        with torch.no_grad():
            difference = (network(*faces) - source(*faces)).abs().max()
        one = [value[:1] for value in faces]
        return cls(
            name, file.name, sha256, file.stat().st_size, config, licence,
            'fp16' if half else 'fp32', geometry,
            sum(value.numel() for value in network.parameters()) / 1e6,
            count_gmacs(lambda: network(*one)), 255 * float(difference))


@dataclass(frozen=True)
class Results:
    """Means of a test run, as ``tools/test.py`` writes them.

    Args:
        models: {model: {column: mean}}.
        protocol: protocol of the test.
        section: the results as a section of a card.
    """

    models: Mapping[str, Mapping[str, float]]
    protocol: Mapping[str, Any]
    section: str


def write_card(path: Path, facts: Facts, about: str = '',
               results: Sequence[Results] = (), header: str = '',
               opening: str | None = None) -> Path:
    """Writes a model card in Markdown.

    Args:
        path: the card.
        facts: description of the file.
        about: Markdown on data, training and limits.
        results: results from ``results_of``.
        header: text before the card, such as the header of a hub.
        opening: the expression that opens the file; default: by its name.
    """
    opening = opening or f"FaceSuperResolver('{facts.file}')"
    sections = [f'{header}# {facts.name}', about.strip() or _NO_ABOUT, _table_of(facts),
                _usage(opening), *(result.section for result in results)]
    write_bytes(path, ('\n\n'.join(sections) + '\n').encode())
    return path


def _table_of(facts: Facts) -> str:
    geometry = facts.geometry
    rows = {
        'network': f'`{facts.config["type"]}`, {facts.parameters:.2f} M parameters, '
                   f'{facts.gmacs:.2f} GMACs per face',
        'input': f'{geometry.lr_size}×{geometry.lr_size} px, RGB in [0, 1]',
        'output': f'{geometry.size}×{geometry.size} px (×{geometry.scale}), RGB in '
                  '[0, 1], not clamped',
        'faces': f'square crops; eye distance {geometry.eye_share:.3f} of the side',
        'file': f'`{facts.file}`, {facts.bytes / 1e6:.2f} MB, {facts.precision}; '
                'maximum difference from the fp32 weights on random input: '
                f'{facts.rounding:.2f}/255',
        'SHA-256': f'`{facts.sha256}`',
        'licence': facts.licence,
    }
    return '\n'.join(['## Facts', '', '| | |', '|---|---|',
                      *(f'| {name} | {value} |' for name, value in rows.items())])


def _usage(opening: str) -> str:
    return f'''## Use

```python
from fdsr.apis import FaceSuperResolver

sr = {opening}
face = sr('face.png')                  # an aligned face, uint8 RGB
photo = sr.restore_photo('photo.jpg')  # photo.image, photo.faces
```'''


def read_about(path: str | Path) -> str:
    """Reads the Markdown on data, training and limits for a card.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is not UTF-8 text.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no text at {path}: --about takes a Markdown file on data, '
            'training and limits.')
    try:
        return path.read_text(encoding='utf-8')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not UTF-8 text ({error}).') from error


def results_of(path: str | Path) -> Results:
    """Reads the results of a test run.

    Args:
        path: a ``metrics.json`` of ``tools/test.py``.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it has another format.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'There are no metrics at {path}. tools/test.py --out writes them.')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        # JSON has no infinity: `write_metrics` stores the PSNR of equal images as text
        models = {model: {column: float(value) for column, value in means.items()}
                  for model, means in content['models'].items()}
        table = format_table(models, content['protocol'], content['num_images'],
                             content['skipped'])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} is not a metrics.json of tools/test.py ({error!r}).') from error
    return Results(models, content['protocol'], f'## Results\n\n{table}')
