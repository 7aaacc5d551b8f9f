"""An idle pool looks again now and then, since a marker can be lost: while nothing waits, that costs one command."""

from __future__ import annotations

import pytest
from worker_crew import Crew, MakeCrew, WaitUntil

from leadenrich.worker import pool


async def calls(crew: Crew, command: str) -> int:
    """How often Redis ran it."""
    stats = await crew.connection.execute("INFO", "commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def rests(crew: Crew, wait_until: WaitUntil) -> None:
    """It looked again, several times."""
    before = await calls(crew, "exists")

    async def looked() -> bool:
        return await calls(crew, "exists") >= before + 5

    await wait_until(looked)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LOOK_AGAIN_S", 0.02)


async def test_a_look_at_an_empty_queue_claims_nothing(make_real_crew: MakeCrew, wait_until: WaitUntil) -> None:
    crew = make_real_crew()
    async with crew.at_work():
        await crew.desk.new()
        await wait_until(lambda: crew.ended("c1"))
        await rests(crew, wait_until)
        claims = await calls(crew, "evalsha")
        await rests(crew, wait_until)
        assert await calls(crew, "evalsha") == claims


async def test_a_lead_whose_marker_was_lost_is_found(make_real_crew: MakeCrew, wait_until: WaitUntil) -> None:
    crew = make_real_crew()
    job_id = await crew.desk.new()
    await crew.connection.execute("DEL", crew.desk.keys.wait_live, crew.desk.keys.wake)
    async with crew.at_work():
        await rests(crew, wait_until)
        await crew.connection.execute("RPUSH", crew.desk.keys.wait_live, job_id)
        await wait_until(lambda: crew.ended("c1"))
