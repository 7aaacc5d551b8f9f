"""What a measurement gives: figures by name. Runs are interleaved and their medians count."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bench.stage import Stage

Sample: TypeAlias = dict[str, float]
Figures: TypeAlias = dict[str, dict[str, Sample]]  # by phase and subject
Measure: TypeAlias = Callable[[], Sample]

OURS = "leadenrich"


@dataclass(frozen=True, slots=True)
class Phase:
    """One kind of measurement. `subjects` gives for each subject (ours, a peer, a ceiling) what takes one sample.

    `unit_of` tells the figures' units, in the order in which they are shown.
    """

    name: str
    title: str
    unit_of: Mapping[str, str]
    subjects: Callable[[Stage], Mapping[str, Measure]]
    repetitions: int = 3


def medians(samples: Sequence[Sample]) -> Sample:
    """The median of each figure; what only some samples have is the median of those."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: statistics.median(sample[name] for sample in samples if name in sample) for name in names}


def shown(value: float | None) -> str:
    """Three digits that count; whole from 100 on."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]
