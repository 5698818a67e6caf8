"""The first pass of a dictionary, by batches on a cluster."""

from contextlib import closing

import numpy as np
import torch

from fdsr.preparation.dictionary.building import DictionaryBuilder, Projector
from fdsr.preparation.dictionary.faces import FaceBatches
from fdsr.preparation.dictionary.features import Slot
from fdsr.preparation.executor import Executor


class BatchEncoder:
    """Reads a batch of faces and returns its points.

    Sums depend on the number of threads, so it uses that of the process in which it was
    created.

    Args:
        faces: all batches.
        projector: projections of the features.
    """

    def __init__(self, faces: FaceBatches, projector: Projector) -> None:
        self.faces, self.projector = faces, projector
        self.threads = torch.get_num_threads()

    def __call__(self, item: tuple[list[int], bool]
                 ) -> tuple[tuple[list[bool], list[float]], np.ndarray | None]:
        """Returns the facts of a batch and its points.

        Args:
            item: indices of the batch, and whether its points are stored; they are
                then None.
        """
        from fdsr.registry import register_all
        register_all()
        torch.set_num_threads(self.threads)
        indices, stored = item
        batch = self.faces.read(indices)
        if batch.images is None or stored:
            return batch.facts, None
        return batch.facts, self.projector(batch.images, batch.boxes)


def project(builder: DictionaryBuilder, faces: FaceBatches, executor: Executor
            ) -> dict[Slot, np.ndarray]:
    """Runs the first pass: projected features (N, projected) for each slot.

    The result is that of ``DictionaryBuilder.project``.

    Raises:
        ValueError: there are fewer faces than atoms.
        RuntimeError: the cluster cannot be used.
    """
    builder.report('features', 0)
    encoder = BatchEncoder(faces, Projector(
        builder.encoder, builder.spec, builder.seed, builder.projected, builder.device))
    stored = builder.state.num_points() if builder.state else 0
    # Batches without faces have no points, so at least these are stored.
    items = [(indices, number < stored)
             for number, indices in enumerate(faces.index_batches())]
    facts, points = [], []
    with closing(executor.map(encoder, items)) as outcomes:
        for fact, found in outcomes:
            facts.append(fact)
            if any(fact[0]):
                points.append(builder.points(
                    len(points), sum(fact[0]), lambda found=found: found))
    faces.finish(facts)
    return builder.by_slot(points)
