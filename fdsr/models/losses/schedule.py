"""Numbers that change over the iterations."""

from typing import Sequence, Tuple, Union

import numpy as np

#: A number, or (iteration, number) points that are interpolated linearly.
Scheduled = Union[float, Sequence[Tuple[int, float]]]


class Schedule:
    """A number as a function of the iteration.

    Args:
        value: a number, or (iteration, number) points that are interpolated linearly:
            ``[(0, 0.0), (1000, 1.0)]`` warms up, ``[(0, 10.0), (5000, 0.0)]`` fades
            out.
        name: the argument's name, for the error.

    Raises:
        ValueError: the iterations do not ascend.
    """

    def __init__(self, value: Scheduled, name: str) -> None:
        points = [(0, value)] if isinstance(value, (int, float)) else value
        self._iterations, self._values = zip(*points)
        if any(later <= earlier for earlier, later in
               zip(self._iterations, self._iterations[1:])):
            raise ValueError(f'The iterations of {name} must ascend, found '
                             f'{list(self._iterations)}.')

    def at(self, iteration: int) -> float:
        """Returns the number at an iteration; constant outside the points."""
        return float(np.interp(iteration, self._iterations, self._values))
