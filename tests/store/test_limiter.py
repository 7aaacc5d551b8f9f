"""A pace shared by all daemons: each start is booked, nobody's start is booked twice."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from itertools import pairwise

import pytest

from leadenrich.store.connection import Connection
from leadenrich.store.limiter import GUARD, SharedPace
from leadenrich.store.schema import pace_key

STEP_US = round(1_000_000 * (1 + GUARD) / 5)


class Waits:
    """The waits that were asked for; none is slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: list[float] = []

        async def sleep(seconds: float) -> None:
            self.seconds.append(seconds)

        monkeypatch.setattr("leadenrich.store.limiter.asyncio.sleep", sleep)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    return Waits(monkeypatch)


async def now_us(connection: Connection) -> int:
    seconds, microseconds = await connection.execute("TIME")
    return int(seconds) * 1_000_000 + int(microseconds)


async def test_starts_are_booked_one_step_apart_for_all_daemons(connection: Connection, waits: Waits) -> None:
    """Three daemons, twelve starts: by the planned time no window of a second holds six."""
    daemons = [SharedPace(connection, "realestateapi", 5.0) for _ in range(3)]
    began = await now_us(connection)
    planned = []
    for number in range(12):
        asked = await now_us(connection)
        await daemons[number % 3].take()
        planned.append((asked - began) / 1e6 + waits.seconds[-1])
    assert waits.seconds[0] == 0
    gaps = [later - earlier for earlier, later in pairwise(planned)]
    assert min(gaps) > 0.19
    assert planned[-1] == pytest.approx(11 * STEP_US / 1e6, abs=0.05)


async def test_a_window_is_kept_by_all_daemons_with_the_burst_at_its_start(
    connection: Connection, waits: Waits
) -> None:
    """HighLevel's 100 in 10 s, and one less: ten at once, then nearly all that the window allows, never more."""
    daemons = [SharedPace(connection, "ghl:loc1", 99, 10.0, burst=10) for _ in range(3)]
    began, planned = await now_us(connection), []
    for number in range(300):
        asked = await now_us(connection)
        await daemons[number % 3].take()
        planned.append((asked - began) / 1e6 + waits.seconds[-1])
    assert waits.seconds[:10] == [0] * 10
    assert waits.seconds[10] > 0
    in_a_window = [bisect_left(planned, begin + 10) - at for at, begin in enumerate(planned)]
    assert 90 <= max(in_a_window) <= 99
    assert (planned[-1] - planned[9]) / 290 == pytest.approx(10 * (1 + GUARD) / 90, rel=0.02)


async def test_a_limit_below_the_burst_goes_one_by_one(connection: Connection, waits: Waits) -> None:
    pace = SharedPace(connection, "ghl:loc1", 4, 10.0, burst=10)
    for _ in range(3):
        await pace.take()
    assert waits.seconds[0] == 0
    assert waits.seconds[2] == pytest.approx(2 * 10 * (1 + GUARD) / 4, abs=0.05)


async def test_a_long_row_of_waiters_does_not_break_the_rate(connection: Connection, waits: Waits) -> None:
    pace = SharedPace(connection, "realestateapi", 0.5)
    for _ in range(50):
        await pace.take()
    assert waits.seconds[-1] == pytest.approx(49 * 2.1, abs=0.5)


async def test_a_clock_set_back_moves_the_bookings_with_it(connection: Connection, waits: Waits) -> None:
    """What was booked two steps ahead is still two steps ahead, not an hour."""
    now, hour = await now_us(connection), 3_600_000_000
    await connection.execute("SET", pace_key("realestateapi"), f"{now + hour + 2 * STEP_US}|{now + hour}")
    await SharedPace(connection, "realestateapi", 5.0).take()
    assert waits.seconds[0] == pytest.approx(2 * STEP_US / 1e6, abs=0.05)


async def test_after_a_rest_nothing_has_been_saved_up(connection: Connection, waits: Waits) -> None:
    now = await now_us(connection)
    await connection.execute("SET", pace_key("realestateapi"), f"{now - 10_000_000}|{now - 20_000_000}")
    pace = SharedPace(connection, "realestateapi", 5.0)
    for _ in range(3):
        await pace.take()
    assert waits.seconds[0] == 0
    assert waits.seconds[2] == pytest.approx(2 * STEP_US / 1e6, abs=0.05)


async def test_no_limit_asks_nobody(connection: Connection, waits: Waits) -> None:
    await SharedPace(connection, "realestateapi", 0.0).take()
    assert waits.seconds == []
    assert await connection.execute("EXISTS", pace_key("realestateapi")) == 0


async def test_the_booking_is_slept(connection: Connection) -> None:
    pace = SharedPace(connection, "realestateapi", 50.0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(pace.take() for _ in range(6)))
    assert loop.time() - began >= 5 * 0.02


async def test_the_booking_does_not_stay_for_ever(connection: Connection, waits: Waits) -> None:
    await SharedPace(connection, "realestateapi", 5.0).take()
    assert 0 < await connection.execute("PTTL", pace_key("realestateapi")) <= 3_600_000
