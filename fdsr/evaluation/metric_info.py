"""The direction and number format that every metric declares.

A metric that `FaceEvaluator` accepts declares these class attributes:

| Attribute | Type | Meaning |
|---|---|---|
| `metric` | `str` | name, and the first part of the column: `NIQE`, `NIQE-Y` |
| `higher_is_better` | `bool` | whether larger values are better |
| `digits` | `int` | decimals in tables and captions |
| `unit` | `str` | optional, for axis labels |

Tables, captions, rankings and plots read these values through `MetricInfo`. No code
derives them from the metric's name.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fdsr.registry import METRICS

if TYPE_CHECKING:
    from fdsr.reporting.bootstrap import Estimate

_MISSING = '–'


@dataclass(frozen=True)
class MetricInfo:
    """The direction and number format of a metric.

    Args:
        higher_is_better: Whether larger values are better.
        digits: Decimals in tables and captions.
        unit: Unit for axis labels, for example 'dB'.

    Raises:
        TypeError: A value has the wrong type.
    """

    higher_is_better: bool
    digits: int
    unit: str = ''

    def __post_init__(self) -> None:
        if not (isinstance(self.higher_is_better, bool) and type(self.digits) is int
                and self.digits >= 0 and isinstance(self.unit, str)):
            raise TypeError(
                'MetricInfo: expected higher_is_better: bool, digits: int of at least '
                f'0 and unit: str, found {self}.')

    def heading(self, column: str) -> str:
        """Returns the column's name with an arrow in the direction of improvement."""
        return f'{column} {"↑" if self.higher_is_better else "↓"}'

    def format(self, value: float | None, sign: str = '') -> str:
        """Returns the value with the metric's decimals, or a dash for None.

        Args:
            value: The number.
            sign: '+' to print the sign of positive numbers too.
        """
        return _MISSING if value is None else f'{value:{sign}.{self.digits}f}'

    def interval(self, estimate: 'Estimate', sign: str = '') -> str:
        """Returns '24.27 [24.05, 24.49]', or only the mean if there is no interval."""
        mean = self.format(estimate.mean, sign)
        if math.isnan(estimate.low):
            return mean
        low, high = (self.format(end, sign) for end in (estimate.low, estimate.high))
        return f'{mean} [{low}, {high}]'


#: mmagic's metrics that `FaceEvaluator` accepts; they declare only their name.
MMAGIC = dict(
    PSNR=MetricInfo(higher_is_better=True, digits=2, unit='dB'),
    SSIM=MetricInfo(higher_is_better=True, digits=4),
    SNR=MetricInfo(higher_is_better=True, digits=2, unit='dB'),
    MAE=MetricInfo(higher_is_better=False, digits=4),
    MSE=MetricInfo(higher_is_better=False, digits=4),
    NIQE=MetricInfo(higher_is_better=False, digits=2),
)


def info_of(metric: Any) -> MetricInfo:
    """Returns what a metric declares.

    Args:
        metric: A metric or a metric class.

    Raises:
        TypeError: `higher_is_better` or `digits` is missing or has the wrong type.
    """
    kind = metric if isinstance(metric, type) else type(metric)
    declared = {name: getattr(metric, name)
                for name in ('higher_is_better', 'digits', 'unit')
                if hasattr(metric, name)}
    if not declared:
        for base in kind.__mro__:
            if base.__module__.startswith('mmagic.') and base.__name__ in MMAGIC:
                return MMAGIC[base.__name__]
    try:
        return MetricInfo(**declared)
    except TypeError as error:
        raise TypeError(
            f'{kind.__module__}.{kind.__name__}: expected the class attributes '
            f'higher_is_better (bool) and digits (int), found {declared or "neither"}. '
            'Add them to the class, for example higher_is_better = False and '
            'digits = 4.') from error


def metric_info(column: str) -> MetricInfo:
    """Returns the info of a registered metric by its name or by one of its columns.

    Use it only where no evaluator and no stored result supplies the info.

    Args:
        column: NAME or NAME-VARIANT, for example 'PSNR' or 'LPIPS-vgg16'.

    Raises:
        ValueError: No registered metric has this name.
    """
    known = {**MMAGIC, **{kind.metric: kind for kind in METRICS.module_dict.values()
                          if getattr(kind, 'metric', None)}}
    names = [name for name in known
             if column == name or column.startswith(f'{name}-')]
    if not names:
        raise ValueError(
            f'Column {column!r}: expected NAME or NAME-VARIANT of a registered metric, '
            f'found the metrics {", ".join(sorted(known))}. Register a metric class '
            'with the attributes metric, higher_is_better and digits, or test again to '
            'store them with the results.')
    found = known[max(names, key=len)]
    return found if isinstance(found, MetricInfo) else info_of(found)


def column_infos(
    protocol: Mapping[str, Any], columns: Iterable[str],
) -> dict[str, MetricInfo]:
    """Returns the info of each column of stored results.

    Args:
        protocol: As `build_protocol` returns it. Older files have no `columns`;
            then `metric_info` supplies the info.
        columns: Names of the columns.

    Raises:
        ValueError: A column is neither stored nor the column of a registered metric.
    """
    stored = protocol.get('columns') or {}
    return {column: MetricInfo(**stored[column]) if column in stored
            else metric_info(column) for column in columns}
