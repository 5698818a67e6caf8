"""Tables about a dictionary from its file and the config of its teacher."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fdsr.geometry.components import COMPONENTS
from fdsr.models.backbones.dictionary_teacher import dictionary_shape
from fdsr.models.dictionary.component_dictionary import ComponentDictionary
from fdsr.models.dictionary.files import load_dictionary
from fdsr.preparation.dictionary.faces import (
    FaceBatches,
    encoder_of,
    teacher_settings,
    training_faces,
)
from fdsr.preparation.dictionary.features import Slot
from fdsr.preparation.dictionary.inspection import (
    Matches,
    SlotReport,
    crops_of,
    match_faces,
)
from fdsr.reporting.tables import markdown_table
from fdsr.utils.files import write_bytes

PROTOCOL = (
    'Usage: matches of the teacher for HR faces. Coverage error: mean of '
    '‖F − atom‖ / ‖F − mean‖ over the faces, for the nearest atom after AdaIN, without '
    'flat (constant) features. error K/2, K/4, …: with the K/2, K/4, … most used '
    'atoms only.')


@dataclass(frozen=True)
class Inspection:
    """Result of ``inspect_from_config``.

    Args:
        dictionary: the dictionary.
        faces: the matched faces.
        matches: the matches of each component and level.
    """

    dictionary: ComponentDictionary
    faces: FaceBatches
    matches: dict[Slot, Matches]

    def reports(self) -> list[SlotReport]:
        """Returns one report for each component and level."""
        return [one.report(*slot) for slot, one in self.matches.items()]

    def most_used(self) -> list[tuple[str, int, int]]:
        """Returns the most used atom of each component at the finest level."""
        return [(name, 0, int(self.matches[name, 0].usage().argmax()))
                for name in COMPONENTS]

    def crops(self, atoms: Sequence[tuple[str, int, int]], count: int
              ) -> list[list[np.ndarray]]:
        """Reads the faces again and returns the nearest crops of atoms.

        Args:
            atoms: (component, level, atom).
            count: number of crops for each atom.

        Returns:
            The crops of each atom, see ``crops_of``, the best first.

        Raises:
            ValueError: an atom does not exist.
        """
        for atom in atoms:
            self._check(*atom)
        nearest = [self.matches[name, level].nearest_faces(atom, count)
                   for name, level, atom in atoms]
        selected: dict[Slot, set] = {}
        for (name, level, _), faces in zip(atoms, nearest):
            selected.setdefault((name, level), set()).update(faces)
        found = crops_of(self.faces, selected)
        return [[found[name, level][face] for face in faces]
                for (name, level, _), faces in zip(atoms, nearest)]

    def _check(self, component: str, level: int, atom: int) -> None:
        counts = self.dictionary.spec.num_atoms
        if not (component in counts and 0 <= level < len(counts[component])
                and 0 <= atom < counts[component][level]):
            raise ValueError(
                f'The dictionary has no atom {component}:{level}:{atom}: expected one '
                f'of {", ".join(COMPONENTS)}, a level and the number of an atom, both '
                'counted from 0.')


def inspect_from_config(config: Any, path: str | Path, max_faces: int | None = None,
                        batch_size: int = 4, seed: int = 0, device: str = 'cpu',
                        num_workers: int = 0) -> Inspection:
    """Matches the training faces of a config against a dictionary.

    Args:
        config: a loaded config that trains a ``DictionaryTeacher``.
        path: path of the dictionary.
        max_faces: use this many random faces; default: all.
        batch_size: faces per batch.
        seed: seed of the sample.
        device: device of the encoder and the dictionary.
        num_workers: number of processes that read images; 0: none.

    Raises:
        ValueError, KeyError: see ``teacher_settings`` and ``load_dictionary``.
        FileNotFoundError: the dictionary is missing.
    """
    settings = teacher_settings(config)
    encoder = encoder_of(settings)
    dictionary = load_dictionary(path, encoder, **dictionary_shape(
        encoder, settings['size'], settings['eye_share']))
    faces = FaceBatches(training_faces(config), settings['size'], batch_size,
                        max_faces, seed, num_workers)
    matches = match_faces(encoder, dictionary, faces, device)
    return Inspection(dictionary, faces, matches)


def markdown(reports: Sequence[SlotReport], histogram: bool = False) -> str:
    """Returns a Markdown table with a row for each component and level.

    Args:
        reports: reports of one dictionary.
        histogram: add a histogram of the usage.
    """
    columns = max(len(one.coverage) for one in reports)
    shares = ['K'] + [f'K/{2**step}' for step in range(1, columns)]
    header = ['component', 'level', 'K', 'faces', 'flat', 'dead', 'effective',
              'most used', *(f'error {share}' for share in shares)]
    rows = []
    for one in reports:
        errors = [f'{error:.3f}' for error in one.coverage.values()]
        rows.append([one.component, one.level, one.num_atoms, one.num_faces, one.flat,
                     one.dead, f'{one.effective:.1f}', max(one.usage),
                     *errors, *[''] * (columns - len(errors))])
    text = markdown_table(header, rows)
    return text + '\n\n' + _histogram(reports) if histogram else text


def _histogram(reports: Sequence[SlotReport]) -> str:
    """Counts the atoms that were matched never, once, 2–3 times, 4–7 times, …"""
    most = max(max(one.usage) for one in reports)
    edges = [0, *(2**power for power in range(most.bit_length() + 1))]
    names = ['never', 'once', *(f'{low}–{high - 1}'
                                for low, high in zip(edges[2:], edges[3:]))]
    names = names[:len(edges) - 1]
    rows = [[one.component, one.level,
             *np.histogram(one.usage, bins=np.array(edges) - 0.5)[0]]
            for one in reports]
    return markdown_table(['component', 'level', *names], rows)


def write_json(path: str | Path, inspection: Inspection) -> None:
    """Writes all values of the tables and the usage of each atom as JSON."""
    content = dict(
        dictionary=inspection.dictionary.external_weights.path,
        sha256=inspection.dictionary.external_weights.sha256, protocol=PROTOCOL,
        skipped=inspection.faces.skipped,
        slots=[asdict(one) for one in inspection.reports()])
    write_bytes(path, json.dumps(content, indent=1).encode())


def write_csv(path: str | Path, reports: Sequence[SlotReport]) -> None:
    """Writes a CSV with one row for each component, level and number of atoms K'."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['component', 'level', 'num_atoms', 'num_faces', 'flat', 'dead',
                     'effective', 'atoms_kept', 'coverage_error'])
    for one in reports:
        for kept, error in one.coverage.items():
            writer.writerow([one.component, one.level, one.num_atoms, one.num_faces,
                             one.flat, one.dead, one.effective, kept, error])
    write_bytes(path, text.getvalue().encode())
