"""Numbers as they are printed."""

import math
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from fdsr.reporting.statistics import Estimate

#: What columns begin with that get better upwards, and downwards.
_UPWARDS, _DOWNWARDS = ('PSNR', 'SSIM', 'ID'), ('LPIPS', 'FID')


def higher_is_better(column: str) -> bool:
    """Whether a column's larger values are the better ones."""
    return not column.startswith(_DOWNWARDS)


def heading(column: str) -> str:
    """A column's name with the direction in which it gets better."""
    if column.startswith(_UPWARDS):
        return f'{column} ↑'
    return f'{column} ↓' if column.startswith(_DOWNWARDS) else column


def digits(column: str) -> int:
    """Decimals that a column is printed with."""
    return 2 if column.startswith(('PSNR', 'FID')) else 4


def cell(column: str, value: Optional[float], sign: str = '') -> str:
    """A number as it is printed, a dash for none."""
    return '–' if value is None else f'{value:{sign}.{digits(column)}f}'


def flat(fact: Any) -> str:
    """A fact on one line."""
    if isinstance(fact, dict):
        return ', '.join(f'{name} {flat(value)}' for name, value in fact.items())
    return 'none' if fact is None else str(fact)


def interval(column: str, estimate: 'Estimate', sign: str = '') -> str:
    """'24.27 [24.05, 24.49]', or the mean alone where there is no interval."""
    mean = cell(column, estimate.mean, sign)
    if math.isnan(estimate.low):
        return mean
    ends = ', '.join(cell(column, end, sign) for end in (estimate.low, estimate.high))
    return f'{mean} [{ends}]'
