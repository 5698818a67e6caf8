"""The progress of networks that are trained step by step."""


def check_progress(num_steps: int, step: int, alpha: float) -> None:
    """Checks a step and the weight of its image.

    Raises:
        ValueError: ``step`` is not an integer from 1 to ``num_steps``, or ``alpha`` is
            not in [0, 1].
    """
    if type(step) is not int or not 1 <= step <= num_steps:
        raise ValueError(f'step: expected an integer from 1 to {num_steps}, found '
                         f'{step!r}.')
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not (
            0 <= alpha <= 1):
        raise ValueError(f'alpha: expected a number in [0, 1], found {alpha!r}.')
