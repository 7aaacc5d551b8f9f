"""kill -9 at every point of a lead's way: nothing is lost, written twice or bought twice in silence."""

from __future__ import annotations

import asyncio
from pathlib import Path

from chaos.crash_points import POINTS, Point, matrix

WORLDS = 2  # side by side: a daemon that starts keeps one core busy


async def wrong(folder: Path, points: list[Point]) -> list[str]:
    async with matrix(folder) as world:
        return [fact for point in points for fact in (await world.crash(point)).wrong]


async def test_a_death_costs_nothing_but_what_it_says(tmp_path: Path) -> None:
    """Each kill happens exactly at its point; after a restart the job ends as if nothing had been.

    What a point may cost, a second look-up that the job shows, stands in its row.
    """
    shares = [list(POINTS[world::WORLDS]) for world in range(WORLDS)]
    found = await asyncio.gather(*(wrong(tmp_path / str(number), share) for number, share in enumerate(shares)))
    assert not [fact for facts in found for fact in facts]
