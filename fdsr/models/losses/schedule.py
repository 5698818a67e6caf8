"""Numbers that change over the iterations."""

from typing import Sequence, Tuple, Union

import numpy as np

#: A number, or (iteration, number) points with straight lines between them.
Scheduled = Union[float, Sequence[Tuple[int, float]]]


class Schedule:
    """A number at each iteration.

    Args:
        value: a number, or (iteration, number) points that are joined by straight
            lines: ``[(0, 0.0), (1000, 1.0)]`` warms up, ``[(0, 10.0), (5000, 0.0)]``
            fades out.
        name: of the argument, for the error.

    Raises:
        ValueError: the iterations do not ascend.
    """

    def __init__(self, value: Scheduled, name: str) -> None:
        points = [(0, value)] if isinstance(value, (int, float)) else value
        self._iterations, self._values = zip(*points)
        if any(later <= earlier for earlier, later in
               zip(self._iterations, self._iterations[1:])):
            raise ValueError(f'The iterations of {name} have to ascend, found '
                             f'{list(self._iterations)}.')

    def at(self, iteration: int) -> float:
        """The number at an iteration; before the first and after the last they hold."""
        return float(np.interp(iteration, self._iterations, self._values))
