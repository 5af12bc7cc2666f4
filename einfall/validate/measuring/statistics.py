"""Order statistics of repeated times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and the 20th and 80th percentile of repeated times [s].

    >>> spread_of([3e-3, 1e-3, 2e-3, 5e-3, 4e-3, 6e-3])
    Spread(median_s=0.0035, p20_s=0.002, p80_s=0.005)
    """

    median_s: float
    p20_s: float
    p80_s: float


def spread_of(times_s: Sequence[float]) -> Spread:
    """Order statistics, interpolated linearly between times.

    Raises:
        ValueError: There is no time, or one is not a positive number.
    """
    if not times_s or not all(0 < t < float("inf") for t in times_s):
        raise ValueError(f"times: wanted at least one, each above 0 s, found {list(times_s)}")
    p20, median, p80 = (float(x) for x in np.quantile(np.asarray(times_s), (0.2, 0.5, 0.8)))
    return Spread(median, p20, p80)
