"""Worlds by seed: storms, kills, jumps of the clocks, lost answers. `make simulate` runs a thousand of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from simulation.daemon import FLIGHT_S
from simulation.day import Day, TruthsOfTheDay
from simulation.truths import TAGS_OF_OUTCOMES, Truths
from simulation.world import Scene, World

from leadenrich.core.lead import PostalAddress
from leadenrich.worker.pool import LOOK_AGAIN_S


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_world_comes_to_rest_and_every_truth_holds(seed: int) -> None:
    world = World(seed, minutes=5.0, changes=15)
    world.run()
    assert Truths(world).contradictions() == []
    assert world.vendors.sales, "nobody bought anything"


def test_a_seed_is_the_same_world_again() -> None:
    """Else a seed that fails could not be looked at."""
    runs = [World(seed, minutes=3.0, changes=12) for seed in (5, 5, 6)]
    for world in runs:
        world.run()
    assert len(runs[0].log) > 30
    assert runs[0].log == runs[1].log
    assert runs[0].log != runs[2].log


def test_a_day_with_its_windows_its_retention_and_its_midnight() -> None:
    """Seven of ten leads are paid for before midnight, the others wait for it. What is old is gone, the rest stays."""
    day = Day(lead_every_s=1800.0, lease_s=600.0)
    day.run()
    assert TruthsOfTheDay(day).contradictions() == []


# --- what seeds have found -------------------------------------------------------------------------------------------


def test_a_lead_whose_marker_went_to_a_dead_host_is_not_forgotten() -> None:
    """Redis gives the marker to who waits longest, although its host lost power and never said good-bye."""

    async def play(world: Scene) -> None:
        silent = world.boot("one")
        await asyncio.sleep(1)
        world.boot("two")
        await asyncio.sleep(1)
        await world.kill(silent, unheard=True)
        world.people.create("c1", "101 Evergreen Terrace")
        await asyncio.sleep(LOOK_AGAIN_S + 5)
        assert len(world.starts) == 1

    Scene(play).run()


def test_jobs_of_a_claim_whose_answer_was_lost_are_asked_for_again() -> None:
    """Twice, so that the script's own second try does not help: the job must not wait until its lease ends."""

    async def play(world: Scene) -> None:
        losses = ["after"] * 2

        def lose_claims(command: tuple[Any, ...]) -> str:
            is_claim = command[0] == "EVALSHA" and command[2] == 10 and command[3] == world.keys.wait_live
            begins = len(losses) < 2 or world.redis.execute("LLEN", world.keys.wait_live)
            return losses.pop() if is_claim and losses and begins else ""

        world.boot("one")
        await asyncio.sleep(1)
        world.redis.fate_of = lose_claims
        world.people.create("c1", "101 Evergreen Terrace")
        await asyncio.sleep(LOOK_AGAIN_S + 5)
        assert not losses, "no claim was lost"
        assert len(world.starts) == 1

    scene = Scene(play)
    scene.run()
    assert Truths(scene).contradictions() == []


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_jump_of_redis_clock_neither_doubles_a_purchase_nor_holds_one(jump_s: float) -> None:
    """Two daemons want the same house while the first one's look-up hangs; then the first one dies."""

    async def play(world: Scene) -> None:
        world.vendors.weather.order("hang", for_s=5.0)
        first = world.boot("one")
        world.people.create("c1", "101 Evergreen Terrace")
        while not world.vendors.calls["lookup"]:
            await asyncio.sleep(0.1)
        world.clock.redis_jump_s = jump_s
        second = world.boot("two")
        world.people.create("c2", "101 Evergreen Terrace")
        await asyncio.sleep(10)
        assert len(world.vendors.sales) == 1, "the house was bought again while its look-up was under way"
        await world.kill(first, unheard=False)
        await asyncio.sleep(2 * 30 + FLIGHT_S)
        assert not second.ended
        assert world.busy() == {}

    scene = Scene(play)
    scene.run()
    assert Truths(scene).contradictions() == []


def test_an_event_told_while_the_last_job_wrote_does_not_leave_two_outcomes() -> None:
    """The first job's house is unknown; the event of the next one tells no tag yet."""

    async def play(world: Scene) -> None:
        world.boot("one")
        world.people.create("c1", "105 Evergreen Terrace")
        contact = world.vendors.contacts["c1"]
        moved = replace(contact, address=PostalAddress("106 Evergreen Terrace", "Springfield", "IL", "62704"))
        world.vendors.contacts["c1"] = moved
        while not world.starts:  # the door opens before the worker does
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        world.people.tell("c1", "update")

    scene = Scene(play)
    scene.run()
    assert len(TAGS_OF_OUTCOMES & set(scene.vendors.contacts["c1"].tags)) == 1
    assert len(scene.starts) == 2
