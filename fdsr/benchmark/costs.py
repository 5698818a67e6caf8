"""Cells of a table, and tables in Markdown and LaTeX."""

from typing import Any, Dict, List, Optional, Sequence

from fdsr.reporting.numbers import flat

Profile = Dict[str, Any]
_COST_HEADER = ['Method', 'trained, M', 'frozen, M', 'atoms, MB', 'GMACs']


def cost_header(profiles: Sequence[Profile]) -> List[str]:
    """What ``cost_cells`` tells, for the batch sizes of the first profile."""
    sizes = [entry['batch_size'] for entry in profiles[0]['latencies']]
    return [*_COST_HEADER,
            *(f'ms a picture, batch {size}' for size in sizes),
            *(f'MB at work, batch {size}' for size in sizes),
            'whole pipeline, ms']


def cost_cells(profile: Profile) -> List[str]:
    """Parameters, arithmetic, time and memory of a method."""
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


def _optional(value: Optional[float], form: str) -> str:
    return '–' if value is None else f'{value:{form}}'


def flat_profile(profile: Profile) -> Dict[str, Any]:
    """A profile as one line of a CSV."""
    values = {name: profile[name] for name in (
        'trained', 'frozen', 'network_mb', 'dictionary_mb', 'gmacs')}
    for entry in profile['latencies']:
        for name in ('median_ms', 'best_ms', 'peak_mb'):
            values[f'{name} batch {entry["batch_size"]}'] = entry[name]
    for part in profile['parts']:
        values[f'{part["name"]} ms'] = part['ms']
    return values


def profile_notes(profiles: Dict[str, Profile]) -> List[str]:
    """How the costs were measured; by method where they were not measured alike."""
    texts = {name: flat(profile['protocol']) for name, profile in profiles.items()}
    alike = len(set(texts.values())) == 1
    lines = ([f'- cost: {next(iter(texts.values()))}'] if alike else
             [f'- cost of {name}: {text}' for name, text in texts.items()])
    return lines + [
        f'- {name}: {part["name"]}: {part["note"]}'
        for name, profile in profiles.items() for part in profile['parts']
        if part['note']]
