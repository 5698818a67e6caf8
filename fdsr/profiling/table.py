"""Profiles of networks as Markdown tables and as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fdsr.profiling.profile import DICTIONARY, NOT_MEASURED, Profile
from fdsr.reporting.tables import markdown_table, protocol_lines
from fdsr.utils.files import write_json


def format_profile(profiles: dict[str, Profile], notes: Sequence[str] = ()) -> str:
    """Formats the costs of networks and the protocol as Markdown.

    Args:
        profiles: {model: profile} with the same protocol; the rows keep this order.
        notes: Lines before those of the protocol.

    Returns:
        A table of sizes, one of latency and memory, one with the parts of each network
        that uses a dictionary, and one line per note and fact.

    Raises:
        ValueError: There are no profiles, or their protocols differ.
    """
    protocols = [profile.protocol for profile in profiles.values()]
    if not protocols or any(protocol != protocols[0] for protocol in protocols):
        raise ValueError(
            'Profiles in one table must be measured alike: on the same device, with '
            f'the same dtype and repeats. Found {protocols or "none"}.')
    tables = [_sizes(profiles), _times(profiles)]
    tables += [_parts(name, profile) for name, profile in profiles.items()
               if profile.parts]
    facts = [f'- {note}' for note in notes]
    return '\n\n'.join(
        [*tables, '\n'.join(facts + protocol_lines(protocols[0]))])


def _sizes(profiles: dict[str, Profile]) -> str:
    rows = [
        [name, f'{one.lr_size} → {one.sr_size}', f'{one.trained / 1e6:.3f}',
         f'{one.frozen / 1e6:.3f}', f'{one.network_mb:.1f}',
         f'{one.dictionary_mb:.1f}', f'{one.gmacs:.2f}']
        for name, one in profiles.items()]
    return markdown_table(
        ['Model', 'px', 'Trained, M', 'Frozen, M', 'Network, MB', 'Dictionary, MB',
         'GMACs per image'], rows)


def _times(profiles: dict[str, Profile]) -> str:
    rows = [
        [name, str(one.batch_size), f'{one.median_ms:.1f}', f'{one.best_ms:.1f}',
         f'{one.ms_per_picture:.1f}', _number(one.peak_mb)]
        for name, profile in profiles.items() for one in profile.latencies]
    return markdown_table(
        ['Model', 'Batch', 'Median, ms', 'Best, ms', 'ms per image',
         'Working memory, MB'], rows)


def _parts(name: str, profile: Profile) -> str:
    rows = [
        [part.name, _number(part.ms, NOT_MEASURED), _number(part.gmacs, digits=2),
         _number(part.memory_mb), part.note] for part in profile.parts]
    left_out = [part.name for part in profile.parts if part.ms is None]
    inside = [part for part in profile.parts if part.gmacs is not None]
    rows += [
        ['network without dictionary', *_sum_of(
            [part for part in inside if part.name != DICTIONARY]), ''],
        ['sum', *_sum_of(profile.parts),
         f'without {", ".join(left_out)}' if left_out else '']]
    return markdown_table(
        [f'Parts of {name}, one image', 'Median, ms', 'GMACs', 'Weights and atoms, MB',
         ''], rows)


def _sum_of(parts: Sequence[Any]) -> list[str]:
    """Returns the known sums of time, GMACs and memory."""
    def total(field: str) -> float:
        return sum(getattr(part, field) or 0.0 for part in parts)

    return [_number(total('ms')), _number(total('gmacs'), digits=2),
            _number(total('memory_mb'))]


def _number(value: float | None, missing: str = '–', digits: int = 1) -> str:
    return missing if value is None else f'{value:.{digits}f}'


def write_profiles(path: str | Path, profiles: dict[str, Profile],
                   notes: Sequence[str] = ()) -> None:
    """Writes {notes, models: {model: values}} as JSON, atomically.

    Args:
        path: The file; missing folders are created.
        profiles: {model: profile}.
        notes: See ``format_profile``.

    Raises:
        OSError: The file cannot be written.
    """
    models = {name: profile.to_dict() for name, profile in profiles.items()}
    write_json(path, dict(notes=list(notes), models=models))
