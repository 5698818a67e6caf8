"""Costs of methods as table cells, CSV records and notes."""

from collections.abc import Sequence
from typing import Any

from fdsr.reporting.tables import flat

Profile = dict[str, Any]
_COST_HEADER = ['Method', 'trained, M', 'frozen, M', 'atoms, MB', 'GMACs']


def cost_header(profiles: Sequence[Profile]) -> list[str]:
    """Returns the header for ``cost_cells``, with the first profile's batch sizes."""
    sizes = [entry['batch_size'] for entry in profiles[0]['latencies']]
    return [*_COST_HEADER,
            *(f'ms per image, batch {size}' for size in sizes),
            *(f'working memory, MB, batch {size}' for size in sizes),
            'whole pipeline, ms']


def cost_cells(profile: Profile) -> list[str]:
    """Returns parameters, GMACs, latency and memory of a method."""
    latencies = profile['latencies']
    return [f'{profile["trained"] / 1e6:.2f}', f'{profile["frozen"] / 1e6:.2f}',
            f'{profile["dictionary_mb"]:.0f}', f'{profile["gmacs"]:.2f}',
            *(f'{entry["ms_per_picture"]:.1f}' for entry in latencies),
            *(_optional(entry['peak_mb'], '.0f') for entry in latencies),
            _pipeline(profile)]


def _pipeline(profile: Profile) -> str:
    parts = profile['parts']
    if not parts:
        return f'{profile["latencies"][0]["median_ms"]:.1f}'
    steps = ', '.join(f'{part["name"]} {_optional(part["ms"], ".1f")}'
                      for part in parts)
    return f'{profile["parts_ms"]:.1f} ({steps})'


def _optional(value: float | None, form: str) -> str:
    return '–' if value is None else f'{value:{form}}'


def flat_profile(profile: Profile) -> dict[str, Any]:
    """Returns a profile as one record of a CSV."""
    values = {name: profile[name] for name in (
        'trained', 'frozen', 'network_mb', 'dictionary_mb', 'gmacs')}
    for entry in profile['latencies']:
        for name in ('median_ms', 'best_ms', 'peak_mb'):
            values[f'{name} batch {entry["batch_size"]}'] = entry[name]
    for part in profile['parts']:
        values[f'{part["name"]} ms'] = part['ms']
    return values


def profile_notes(profiles: dict[str, Profile]) -> list[str]:
    """Returns the conditions of the cost measurements, per method if they differ."""
    texts = {name: flat(profile['protocol']) for name, profile in profiles.items()}
    same = len(set(texts.values())) == 1
    lines = ([f'- cost: {next(iter(texts.values()))}'] if same else
             [f'- cost of {name}: {text}' for name, text in texts.items()])
    return lines + [
        f'- {name}: {part["name"]}: {part["note"]}'
        for name, profile in profiles.items() for part in profile['parts']
        if part['note']]
