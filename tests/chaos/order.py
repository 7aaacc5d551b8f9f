"""How a scenario is ordered, and what it hands back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from chaos.figures import Figure, Findings, machine, now


@dataclass(frozen=True, slots=True)
class Order:
    """How a scenario is to be run. `minutes` is for those that last as long as one likes."""

    folder: Path
    seed: int
    quick: bool
    minutes: float = 30.0


def findings(
    name: str,
    title: str,
    order: Order,
    began: float,
    figures: tuple[Figure, ...],
    rows: tuple[tuple[str, ...], ...] = (),
    note: str = "",
) -> Findings:
    """What was found since `began` (monotonic), with the place and the day."""
    return Findings(
        name, title, order.seed, time.monotonic() - began, figures, rows, note, order.quick, now(), machine()
    )
