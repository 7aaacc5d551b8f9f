"""A daemon that sleeps through its lease, as on a paused machine, changes nothing when it goes on."""

from __future__ import annotations

from pathlib import Path

from chaos.scenarios import Order, stopped_owner


async def test_an_owner_that_slept_ends_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """Stopped with jobs in hand for three leases, beside a daemon that takes them over; then it continues."""
    found = await stopped_owner(Order(tmp_path / "stage", seed=1, quick=True))
    assert not [(figure.name, figure.value, figure.bound) for figure in found.figures if not figure.holds]
