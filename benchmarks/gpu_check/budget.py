"""Dividing the time that is left among the measurements that are left."""

import time
from collections.abc import Callable


class Budget:
    """The time of a whole check.

    Args:
        seconds: for everything.
        weights: of each measurement, in the order in which they run. A measurement's
            share of the remaining time is its weight over those still to come, so that
            time that one does not use goes to the later ones.
        clock: returns seconds.
    """

    def __init__(self, seconds: float, weights: list[float],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._weights = list(weights)
        self._clock = clock
        self._start = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    @property
    def remaining(self) -> float:
        """Seconds until the end, at least 0."""
        return max(0.0, self.seconds - self.elapsed)

    def next_share(self) -> float:
        """Returns the seconds for the next measurement, which counts as begun."""
        total = sum(self._weights)
        return self.remaining * self._weights.pop(0) / total

    def hard_limit(self, share: float, least: float) -> float:
        """Returns the seconds after which a measurement is stopped.

        Args:
            share: what ``next_share`` returned for it.
            least: allowed in any case, as long as the check itself has time left.
        """
        return min(max(2 * share, least), self.remaining)
