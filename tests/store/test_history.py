"""The charts' numbers: totals copied once a minute, told as what ended in each step, and the time leads took."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from queue_desk import Desk

from leadenrich.core.job import Lane, Outcome, Reason
from leadenrich.store.history import FAILED, History, Period
from leadenrich.store.job_id import created_ms, new_job_id

MINUTE = 60
NOON = 1_795_521_600 // 7200 * 7200  # where a step of every period begins

MakeHistory = Callable[..., History]


class Clock:
    """The wall clock, set by hand; seconds."""

    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now

    def go(self, minutes: float) -> None:
        self.now += minutes * MINUTE


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_history(desk: Desk, clock: Clock) -> MakeHistory:
    return lambda **more: History(desk.connection, desk.keys, clock=clock, **more)


async def ends(desk: Desk, number: int, outcome: Outcome | Reason) -> None:
    await desk.new(f"c{number}-{outcome}")
    claim = await desk.one()
    await (desk.bury(claim, outcome) if isinstance(outcome, Reason) else desk.complete(claim, outcome))


async def test_a_chart_tells_what_ended_in_each_minute(desk: Desk, clock: Clock, make_history: MakeHistory) -> None:
    history = make_history()
    await history.sample()
    await ends(desk, 1, Outcome.QUALIFIED)
    clock.go(1)
    await history.sample()
    await ends(desk, 2, Outcome.REVIEW)
    await ends(desk, 3, Reason.INTERNAL_ERROR)
    chart = await history.chart(Period.HOUR)
    assert chart.starts[-2:] == [NOON, NOON + MINUTE]
    assert (chart.series["QUALIFIED"][-2:], chart.series["REVIEW"][-2:]) == ([1, 0], [0, 1])
    assert chart.series[FAILED][-2:] == [0, 1]
    assert chart.total("QUALIFIED") + chart.total("REVIEW") + chart.total(FAILED) == 3
    assert chart.since_s == NOON


@pytest.mark.parametrize("period", Period)
async def test_what_ends_after_a_minute_began_stands_in_that_minute(
    desk: Desk, clock: Clock, make_history: MakeHistory, period: Period
) -> None:
    """A daemon that starts within a minute samples at once; then the minute's own sample is there already."""
    one, other = make_history(), make_history()
    clock.go(-0.5)
    for _ in range(2):
        await one.sample()
        clock.now += one.rest_s
    assert clock.now == NOON + MINUTE  # a sampler comes back as a minute begins, whenever it began
    clock.now = NOON
    await one.sample()
    await ends(desk, 1, Outcome.QUALIFIED)
    clock.go(0.6)
    await other.sample()
    clock.go(0.4)
    await other.sample()
    chart = await one.chart(period)
    at = NOON // chart.step_s * chart.step_s
    assert {start: count for start, count in zip(chart.starts, chart.series["QUALIFIED"], strict=True) if count} == {
        at: 1
    }


async def test_what_a_person_cancelled_is_no_failure(desk: Desk, clock: Clock, make_history: MakeHistory) -> None:
    """Twenty thousand of them hid the three that somebody should have looked after."""
    history = make_history()
    await history.sample()
    await desk.queue.cancel(await desk.new("cancelled"), by="Ada")
    await ends(desk, 1, Reason.INTERNAL_ERROR)
    assert (await history.chart(Period.HOUR)).total(FAILED) == 1


@pytest.mark.parametrize(("period", "step"), [(Period.DAY, 15), (Period.WEEK, 120)])
async def test_longer_periods_have_longer_steps(
    desk: Desk, clock: Clock, make_history: MakeHistory, period: Period, step: int
) -> None:
    history = make_history()
    for number in range(3):
        await history.sample()
        await ends(desk, number, Outcome.DISQUALIFIED)
        clock.go(step)
    await history.sample()
    chart = await history.chart(period)
    assert chart.series["DISQUALIFIED"][-4:] == [1, 1, 1, 0]
    assert len(chart.starts) * step in (24 * 60, 7 * 24 * 60)


async def test_the_ring_never_grows_and_knows_what_is_old(desk: Desk, clock: Clock, make_history: MakeHistory) -> None:
    history = make_history()
    await history.sample()
    clock.go(1440)  # the same place of the ring, a day later
    assert (await history.chart(Period.HOUR)).since_s is None
    await history.sample()
    assert await desk.connection.execute("HLEN", desk.keys.history) == 4  # one minute's place, two hours, the first
    assert (await history.chart(Period.HOUR)).since_s == clock.now


async def test_the_first_step_is_told_from_where_the_history_begins(
    desk: Desk, clock: Clock, make_history: MakeHistory
) -> None:
    """A daemon that began within it has no sample of its start."""
    history = make_history()
    clock.go(7)
    await ends(desk, 1, Outcome.QUALIFIED)
    await history.sample()
    await ends(desk, 2, Outcome.QUALIFIED)
    clock.go(1)
    await history.sample()
    for period in Period:
        assert (await history.chart(period)).total("QUALIFIED") == 1
    clock.go(60)
    await history.sample()
    assert (await history.chart(Period.DAY)).total("QUALIFIED") == 1


async def test_after_a_rest_nothing_is_lost_and_nothing_invented(
    desk: Desk, clock: Clock, make_history: MakeHistory
) -> None:
    """The daemon was down: what others ended meanwhile is told where it was noticed."""
    history = make_history()
    await history.sample()
    clock.go(10)
    await ends(desk, 1, Outcome.QUALIFIED)
    await history.sample()
    assert (await history.chart(Period.HOUR)).total("QUALIFIED") == 1


async def test_calls_of_all_daemons_make_the_rate(clock: Clock, make_history: MakeHistory) -> None:
    made = {"realestateapi": 0, "ghl": 0}
    one, other = make_history(calls_made=lambda: made), make_history(calls_made=lambda: {"ghl": made["ghl"]})
    await one.sample()
    await other.sample()
    assert await one.calls_a_second() == {}
    clock.go(1)
    made |= {"realestateapi": 30, "ghl": 60}
    await one.sample()
    await other.sample()
    assert await make_history().calls_a_second() == {"realestateapi": 0.5, "ghl": 2.0}


async def test_the_speed_is_that_of_live_leads(desk: Desk, clock: Clock, make_history: MakeHistory) -> None:
    history = make_history()
    assert await history.speed(Period.HOUR) is None
    for number, (lane, took_s) in enumerate([(Lane.LIVE, 1), (Lane.LIVE, 3), (Lane.LIVE, 9), (Lane.BULK, 900)]):
        job_id = await desk.new(f"c{number}", lane=lane)
        await desk.complete(await desk.one())
        await desk.connection.execute("ZADD", desk.keys.done, created_ms(job_id) + took_s * 1000, job_id)
        clock.now = created_ms(job_id) / 1000 + 1000
    speed = await history.speed(Period.HOUR)
    assert speed is not None
    assert (speed.leads, speed.p50_s, speed.p95_s) == (3, 3.0, 9.0)


def test_an_id_tells_when_its_job_came_in() -> None:
    for ms in (0, 1, 1_795_521_600_123, 2**45 - 1):
        assert created_ms(new_job_id(ms)) == ms
