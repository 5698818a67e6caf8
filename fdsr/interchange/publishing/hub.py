"""The files of a repository of the Hugging Face hub, written to a local folder."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from fdsr.interchange.publishing.card import Facts, Results
from fdsr.weights.hub_files import CARD, CONFIG, MODEL

__all__ = ['CARD', 'CONFIG', 'MODEL', 'OPENING', 'config_of', 'header_maker']

#: Opens the repository after its upload.
OPENING = "FaceSuperResolver.from_pretrained('OWNER/NAME')  # or a folder"
#: The hub's ids of licences that a model of this project may have.
_LICENCES = frozenset({
    'agpl-3.0', 'apache-2.0', 'bsd-2-clause', 'bsd-3-clause', 'cc-by-4.0',
    'cc-by-nc-4.0', 'cc-by-nc-nd-4.0', 'cc-by-nc-sa-4.0', 'cc-by-nd-4.0',
    'cc-by-sa-4.0', 'cc0-1.0', 'gpl-3.0', 'lgpl-3.0', 'mit', 'mpl-2.0', 'openrail',
    'unlicense'})
_TAGS = ['face-super-resolution', 'super-resolution', 'image-restoration']
_BICUBIC = 'bicubic'


def config_of(facts: Facts) -> dict[str, Any]:
    """Returns ``config.json``, which describes the network for readers.

    ``model.safetensors`` describes itself, so no program has to read it.
    """
    geometry = facts.geometry
    return dict(
        library='fdsr', architecture=facts.config['type'], scale=geometry.scale,
        input_size=geometry.lr_size, output_size=geometry.size,
        eye_share=geometry.eye_share, colour_order='RGB', value_range=[0, 1],
        precision=facts.precision, parameters=round(facts.parameters * 1e6),
        licence=facts.licence, sha256=facts.sha256)


def header_maker(member: str, results: Sequence[Results]) -> Callable[[Facts], str]:
    """Returns a function that writes the YAML header of a model card.

    Args:
        member: the network's name in the checkpoint.
        results: test runs that include the network.

    Raises:
        ValueError: it is unknown which results are those of the network.
    """
    means = [_means_of(member, result) for result in results]

    def header(facts: Facts) -> str:
        import yaml
        content = _licence(facts.licence) | dict(
            library_name='fdsr', pipeline_tag='image-to-image', tags=_TAGS)
        runs = [(result, measured) for result, measured in zip(results, means)
                if measured]
        if runs:
            content['metrics'] = sorted({
                _id_of(column) for _, measured in runs for column in measured})
            content['model-index'] = [dict(name=facts.name, results=[
                _evaluation(result, measured) for result, measured in runs])]
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        return f'---\n{text}---\n\n'

    return header


def _licence(licence: str) -> dict[str, Any]:
    if licence.lower() in _LICENCES:
        return dict(license=licence.lower())
    return dict(license='other', license_name=licence)


def _means_of(member: str, result: Results) -> dict[str, float]:
    """Returns the finite means of a network, which JSON on the hub can represent."""
    rows = [name for name in result.models if name != _BICUBIC]
    name = member.removesuffix('_ema')
    row = next((row for row in (member, name) if row in rows),
               rows[0] if len(rows) == 1 else None)
    if row is None:
        raise ValueError(
            f'The metrics have the rows {", ".join(map(repr, rows)) or "of bicubic"}: '
            f'expected one for the network {name!r}, or a single one besides '
            f'{_BICUBIC!r}. Test the network alone with tools/test.py.')
    return {column: value for column, value in result.models[row].items()
            if math.isfinite(value)}


def _evaluation(result: Results, means: dict[str, float]) -> dict[str, Any]:
    dataset = result.protocol.get('dataset')
    dataset = dataset if isinstance(dataset, dict) else {}
    name = str(dataset.get('name') or 'unnamed')
    return dict(
        task=dict(type='image-to-image', name='Face super-resolution'),
        dataset=dict(name=name, type=str(dataset.get('dataset') or name)),
        metrics=[dict(type=_id_of(column), name=column, value=value)
                 for column, value in means.items()])


def _id_of(column: str) -> str:
    return column.lower().replace(' ', '_')
