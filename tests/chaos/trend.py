"""Does it grow? A line through values over time, and how sure its slope is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trend:
    """`slope`: values by time. With 95 % the true one lies between `slope - spread` and `slope + spread`."""

    slope: float
    spread: float


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """Least squares; three points at least. The values should not hang together: means of minutes, not of moments."""
    slope, intercept = statistics.linear_regression(times, values)
    freedom, mean = len(times) - 2, statistics.fmean(times)
    left = sum((value - intercept - slope * time) ** 2 for time, value in zip(times, values, strict=True))
    error = (left / freedom / sum((time - mean) ** 2 for time in times)) ** 0.5
    return Trend(slope, _student_t(freedom) * error)


def _student_t(freedom: int) -> float:
    """The quantile of 97.5 %, by the first terms of its expansion round the normal one (Abramowitz, Stegun 26.7.5)."""
    z = statistics.NormalDist().inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (number + 1) for number, term in enumerate(terms))
