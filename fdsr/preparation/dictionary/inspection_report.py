"""From a dictionary's file and a teacher's config to tables about it."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

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
    DictionaryInspector,
    Matches,
    SlotReport,
    crops_of,
)
from fdsr.utils.files import write_bytes

PROTOCOL = (
    'Usage: atoms that the teacher takes for HR faces. Coverage error: mean of '
    '‖F − atom‖ / ‖F − mean‖ over the faces, for the nearest atom, restyled by AdaIN. '
    "Flat features, which no atom fits or misses, are left out of it. "
    "error K/2, K/4, …: among the K/2, K/4, … atoms that are used most.")


@dataclass(frozen=True)
class Inspection:
    """What was found out about a dictionary.

    Args:
        dictionary: that was looked at.
        faces: that were matched.
        matches: how each component's and level's atoms fit them.
    """

    dictionary: ComponentDictionary
    faces: FaceBatches
    matches: Dict[Slot, Matches]

    def reports(self) -> List[SlotReport]:
        """One for each component and level."""
        return [one.report(*slot) for slot, one in self.matches.items()]

    def most_used(self, level: int = 0) -> List[Tuple[str, int, int]]:
        """The most used atom of each component: (component, level, atom)."""
        return [(name, level, int(self.matches[name, level].usage().argmax()))
                for name in COMPONENTS]

    def crops(self, atoms: Sequence[Tuple[str, int, int]], count: int
              ) -> List[List[np.ndarray]]:
        """The faces' crops that atoms fit best; the faces are read again.

        Args:
            atoms: (component, level, atom).
            count: of crops for each.

        Returns:
            For each atom its crops, see ``crops_of``, the best one first.

        Raises:
            ValueError: there is no such atom.
        """
        for atom in atoms:
            self._check(*atom)
        nearest = [self.matches[name, level].nearest_faces(atom, count)
                   for name, level, atom in atoms]
        wanted: Dict[Slot, set] = {}
        for (name, level, _), faces in zip(atoms, nearest):
            wanted.setdefault((name, level), set()).update(faces)
        found = crops_of(self.faces, wanted)
        return [[found[name, level][face] for face in faces]
                for (name, level, _), faces in zip(atoms, nearest)]

    def _check(self, component: str, level: int, atom: int) -> None:
        counts = self.dictionary.spec.num_atoms
        if not (component in counts and 0 <= level < len(counts[component])
                and 0 <= atom < counts[component][level]):
            raise ValueError(
                f'There is no atom {component}:{level}:{atom}: expected one of '
                f'{", ".join(COMPONENTS)}, a level and the number of an atom, each '
                'counted from 0.')


def inspect_from_config(config: Any, path: Union[str, Path],
                        max_faces: Optional[int] = None, batch_size: int = 4,
                        seed: int = 0, device: str = 'cpu',
                        num_workers: int = 0) -> Inspection:
    """Matches a config's training faces against a dictionary.

    Args:
        config: a loaded config that trains a ``DictionaryTeacher``.
        path: of the dictionary.
        max_faces: use this many, drawn by the seed; default: all.
        batch_size: faces encoded at once.
        seed: of the draw.
        device: that computes.
        num_workers: processes that read images; 0: this one.

    Raises:
        ValueError, KeyError: see ``teacher_settings`` and ``load_dictionary``.
        FileNotFoundError: there is no dictionary.
    """
    settings = teacher_settings(config)
    encoder = encoder_of(settings)
    dictionary = load_dictionary(path, encoder, **dictionary_shape(
        encoder, settings['size'], settings['eye_share']))
    faces = FaceBatches(training_faces(config), settings['size'], batch_size,
                        max_faces, seed, num_workers)
    matches = DictionaryInspector(encoder, dictionary, device).match(faces)
    return Inspection(dictionary, faces, matches)


def markdown(reports: Sequence[SlotReport], histogram: bool = False) -> str:
    """A table with a line for each component and level.

    Args:
        reports: of one dictionary.
        histogram: add how many atoms were matched how often.
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
    text = _table(header, rows)
    return text + '\n\n' + _histogram(reports) if histogram else text


def _histogram(reports: Sequence[SlotReport]) -> str:
    """How many atoms were matched never, once, 2–3 times, 4–7 times, …"""
    most = max(max(one.usage) for one in reports)
    edges = [0, *(2**power for power in range(most.bit_length() + 1))]
    names = ['never', 'once', *(f'{low}–{high - 1}'
                                for low, high in zip(edges[2:], edges[3:]))]
    names = names[:len(edges) - 1]
    rows = [[one.component, one.level,
             *np.histogram(one.usage, bins=np.array(edges) - 0.5)[0]]
            for one in reports]
    return _table(['component', 'level', *names], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def write_json(path: Union[str, Path], inspection: Inspection) -> None:
    """Writes everything that the tables tell, and each atom's usage."""
    content = dict(
        dictionary=inspection.dictionary.external_weights.path,
        sha256=inspection.dictionary.external_weights.sha256, protocol=PROTOCOL,
        skipped=inspection.faces.skipped,
        slots=[one.facts() for one in inspection.reports()])
    write_bytes(path, json.dumps(content, indent=1).encode())


def write_csv(path: Union[str, Path], reports: Sequence[SlotReport]) -> None:
    """Writes one row for each component, level and number of atoms K'."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['component', 'level', 'num_atoms', 'num_faces', 'flat', 'dead',
                     'effective', 'atoms_kept', 'coverage_error'])
    for one in reports:
        for kept, error in one.coverage.items():
            writer.writerow([one.component, one.level, one.num_atoms, one.num_faces,
                             one.flat, one.dead, one.effective, kept, error])
    write_bytes(path, text.getvalue().encode())
