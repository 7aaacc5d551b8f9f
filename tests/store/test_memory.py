"""Redis never gets full by leads: new ones stop at the mark, and what is in hand ends."""

from __future__ import annotations

import itertools

import pytest
from queue_desk import Desk

from leadenrich.config import QueueSettings
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.memory import HIGH_WATER, LOOK_S, Memory, Room, fullest
from leadenrich.store.queue import Queue


async def test_above_the_mark_new_leads_are_refused_and_the_rest_goes_on(real: Connection) -> None:
    """Redis itself still takes writes then: the fifth that is left is for endings."""
    late = Desk(real, Queue(real, QueueSettings(lease=1.0), worker="w1"))
    await late.new("c1")
    used = (await real.memory()).used
    real.room = Room(real.memory)  # a second later
    try:
        await real.execute("CONFIG", "SET", "maxmemory", round(used / 0.9))
        with pytest.raises(StoreUnavailable, match=r"9\d% of .* used, new leads are not taken above 80%"):
            await late.new("c2")
        await real.execute("SET", "something-else", "is still taken")
        [claim] = await late.claim()
        await late.complete(claim)
    finally:
        await real.execute("CONFIG", "SET", "maxmemory", 0)
    await late.new("c2")


async def test_it_is_looked_at_once_a_second_and_each_time_while_it_is_short() -> None:
    now, answers = [0.0], [Memory(10, 100), Memory(80, 100), Memory(79, 100), Memory(79, 100)]
    left = iter(answers)

    async def look() -> Memory:
        return next(left)

    room = Room(look, clock=lambda: now[0])
    await room.check()
    now[0] = LOOK_S - 0.001
    await room.check()  # from memory
    now[0] = LOOK_S
    with pytest.raises(StoreUnavailable):
        await room.check()
    await room.check()  # well again at once, not a second later
    assert next(left) is answers[3]


async def test_when_nobody_answers_there_is_no_room() -> None:
    async def look() -> Memory:
        raise StoreUnavailable("Redis: gone")

    with pytest.raises(StoreUnavailable, match="gone"):
        await Room(look).check()


def info(used: int, limit: int, not_counted: int = 0) -> dict[str, int]:
    return {"used_memory": used, "maxmemory": limit, "mem_not_counted_for_evict": not_counted}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_several_the_fullest_counts(order: tuple[int, ...]) -> None:
    servers = [info(10, 100), info(90, 100), info(5_000, 0)]
    assert fullest(servers[index] for index in order) == Memory(90, 100)


def test_buffers_of_redis_itself_are_not_held_against_it() -> None:
    assert not fullest([info(85, 100, not_counted=10)]).is_short
    assert fullest([info(85, 100)]).is_short
    assert fullest([]) == Memory()


def test_without_a_limit_nothing_is_short() -> None:
    memory = fullest([info(10**12, 0)])
    assert (memory.share, memory.is_short) == (0.0, False)
    assert str(memory) == "1000000 MB used, no limit"
    assert HIGH_WATER < 1
