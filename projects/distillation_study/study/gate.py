"""The gate: fine-tunes a teacher with dictionaries that see HR, or are learned."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdsr.engine.config import load_config
from fdsr.evaluation.protocol import read_rows, write_rows
from fdsr.reporting.bootstrap import paired_difference
from fdsr.reporting.tables import markdown_table

METRICS = ('PSNR', 'SSIM', 'LPIPS')
LABEL = 'teacher'


@dataclass(frozen=True)
class Variant:
    """A teacher of the gate.

    Args:
        matched_on: see ``OracleRestorer``.
        num_atoms: number of atoms of each component and level; None for the teacher's
            own dictionary.
        name: its name in the results.
    """

    matched_on: str
    num_atoms: int | None
    name: str


def variants_of(atoms: Sequence[int]) -> list[Variant]:
    """Returns the variants: LR and HR for each number of atoms, none, and learned.

    Args:
        atoms: numbers of atoms; the first is that of the teacher's own dictionary,
            whose match on LR is the reference.
    """
    found = [Variant(matched_on, None if count == atoms[0] else count,
                     f'{count} atoms, matched on {matched_on.upper()}')
             for count in atoms for matched_on in ('lr', 'hr')]
    return [*found, Variant('no atoms', None, 'features of HR'),
            Variant('learned', None, f'{atoms[0]} learned atoms')]


def finished(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Returns {variant: {metric: {face: value}}} of the file of the results."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in read_rows(path) if path.is_file() else ():
        values = found.setdefault(
            row['variant'], {metric: {} for metric in METRICS})
        for metric in METRICS:
            values[metric][row['name']] = float(row[metric])
    return found


def run_variant(variant: Variant, teacher: str, state: Path, config: str | Path,
                out: Path, common: dict[str, Any]) -> None:
    """Trains a variant and adds its values on the validation faces to the results.

    Args:
        variant: the variant.
        teacher: checkpoint of the trained teacher.
        state: folder of dictionaries and work directories.
        config: training config with an ``OracleRestorer``.
        out: file of the results.
        common: ``data_root`` and ``cfg_options`` for the config.
    """
    from fdsr.engine.launch import build_runner
    from fdsr.models.files.checkpoints import open_backbone
    folder = state / 'gate' / variant.name.replace(',', '').replace(' ', '_')
    _, name, facts, _ = open_backbone(teacher)
    settings = load_config(config, work_dir=str(folder), **common)
    settings.model.generator = facts['backbones'][name]
    settings.model.init_from = str(teacher)
    settings.model.matched_on = variant.matched_on
    if variant.num_atoms is not None:
        settings.model.file = str(_dictionary(settings, variant.num_atoms, state))
    settings.experiment_name = folder.name
    runner = build_runner(settings)
    runner.train()
    rows = [{'variant': variant.name, 'name': row['name'],
             **{metric: f'{row[metric]:.5g}' for metric in METRICS}}
            for row in runner.val_evaluator.rows if row['model'] == LABEL]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(out, [*(read_rows(out) if out.is_file() else []), *rows])


def _dictionary(config: Any, num_atoms: int, state: Path) -> Path:
    """Returns the file of a dictionary, which is built if it is missing."""
    from fdsr.preparation.dictionary.from_config import build_from_config
    path = state / f'dictionary_{num_atoms}.pth'
    if not path.is_file():
        build_from_config(
            config, path, num_atoms, seed=0, max_faces=max(1000, 4 * num_atoms),
            progress=lambda count: contextlib.nullcontext(lambda step, faces: None))
    return path


def gate_table(path: Path) -> str:
    """Returns means, and differences to the reference with intervals over the faces."""
    found = finished(path)
    reference = next(iter(found.values()), {})
    lines = []
    for name, values in found.items():
        line = [name]
        for metric in METRICS:
            mean = sum(values[metric].values()) / len(values[metric])
            line.append(f'{mean:.4f}')
            change, _ = paired_difference(values[metric], reference[metric])
            line.append('–' if values is reference else
                        f'{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]')
        lines.append(line)
    header = ['Variant', *(part for metric in METRICS for part in (
        metric, f'Δ {metric}'))]
    return markdown_table(header, lines)
