"""The compute of distillation, including the training of the teacher."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Cost of one iteration of each part, in any unit: seconds, or GMACs.

    Args:
        student: an iteration of a plain student.
        distilled: an iteration of a distilled student without the teacher's forward
            pass.
        forward: the teacher's forward pass for a batch of the student.
        teacher: an iteration of the teacher's training.
        iterations: number of iterations of a student.
        teacher_iterations: number of iterations of the teacher; 0 if it exists already.
    """

    student: float
    distilled: float
    forward: float
    teacher: float
    iterations: int
    teacher_iterations: int

    @property
    def training_of_teacher(self) -> float:
        """Cost of the teacher's training."""
        return self.teacher * self.teacher_iterations

    @property
    def per_distilled_student(self) -> float:
        """Cost of one distilled student, without the teacher's training."""
        return (self.distilled + self.forward) * self.iterations

    def total(self, students: int) -> float:
        """Returns the cost of the teacher and of a number of distilled students."""
        return self.training_of_teacher + students * self.per_distilled_student

    def break_even(self, plain_iterations: float) -> int | None:
        """Returns the smallest number of students for which distillation costs less.

        Args:
            plain_iterations: iterations after which a plain student is as good as a
                distilled one; ``math.inf`` if it never is.

        Returns:
            The number of students; None if one distilled student costs at least as
            much as its plain counterpart even with a free teacher.
        """
        saved = plain_iterations * self.student - self.per_distilled_student
        if saved <= 0:
            return None
        return max(1, math.ceil(self.training_of_teacher / saved))


def iterations_to_reach(curve: dict[int, float], value: float) -> float:
    """Returns the iterations after which a falling metric reaches a value.

    Each point is a finished training of that length, as plain students with 4,000,
    8,000 and 16,000 iterations. Between points, the metric is interpolated linearly in
    the logarithm of the iterations.

    Args:
        curve: {iterations: mean of the metric, lower is better}.
        value: the value to reach, such as that of a distilled student.

    Returns:
        The iterations; the smallest of the curve if its first value is as good, and
        ``math.inf`` if none is.
    """
    points = sorted(curve.items())
    if points[0][1] <= value:
        return float(points[0][0])
    for (first, high), (second, low) in zip(points, points[1:]):
        if low <= value:
            share = (high - value) / (high - low)
            return math.exp(math.log(first) + share * math.log(second / first))
    return math.inf
