"""In virtual time: the loop's clock jumps to the next timer, late by as much as a test says."""

import asyncio
import itertools
import math
import random
import selectors
import time
from collections import deque

import pytest
from hypothesis import given, settings, strategies as st

from leadenrich.providers.pace import Pace, due


class _Selector(selectors.DefaultSelector):
    """Does not wait: moves the clock instead, and wakes up late."""

    def __init__(self, rng, late_s_max):
        super().__init__()
        self.now, self._rng, self._late_s_max = 1000.0, rng, late_s_max

    def select(self, timeout=None):
        events = super().select(0)
        self.now += 1e-6  # a turn of the loop takes time, else what waits for a rounding error waits for ever
        if not events and timeout:
            self.now += timeout + self._rng.uniform(0, self._late_s_max)
        return events


def run(scenario, *, late_s_max=0.001, seed=0):
    """Run `scenario(clock)` in virtual time."""
    selector = _Selector(random.Random(seed), late_s_max)

    class Loop(asyncio.SelectorEventLoop):
        def time(self):
            return selector.now

    with asyncio.Runner(loop_factory=lambda: Loop(selector)) as runner:
        return runner.run(scenario(lambda: selector.now))


def most_in_any_window(taken, window_s):
    """The most takes any window holds, wherever it begins: one that begins at a take is enough."""
    return max(sum(1 for other in taken if first <= other < first + window_s) for first in taken)


async def take_times(pace, clock, count, tasks=5):
    taken = []

    async def worker():
        while len(taken) + waiting[0] < count:
            waiting[0] += 1
            await pace.take()
            waiting[0] -= 1
            taken.append(clock())

    waiting = [0]
    await asyncio.gather(*(worker() for _ in range(tasks)))
    return taken


@given(
    limit=st.one_of(st.integers(1, 40).map(float), st.floats(0.2, 40)),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=120),
    window_s=st.sampled_from([1.0, 10.0]),
)
def test_no_window_ever_holds_more_than_the_limit(limit, gaps, window_s):
    """Pure arithmetic, for any arrivals: take n and take n + limit lie a window apart."""
    log, now = deque(), 0.0
    for gap in gaps:
        now = max(now + gap, due(log, limit, window_s))
        log.append(now)
    taken, whole = list(log), max(1, math.floor(limit))
    assert all(later - earlier > window_s for earlier, later in zip(taken, taken[whole:], strict=False))
    if limit < 1:
        assert all(later - earlier > window_s / limit for earlier, later in itertools.pairwise(taken))


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from([1, 2, 3, 5, 10, 25, 50, 75, 120, 500]),
    late_ms=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 1000),
)
def test_under_load_the_limit_holds_and_nearly_all_of_it_is_used(rate, late_ms, seed):
    count = rate * 6

    async def scenario(clock):
        return await take_times(Pace(rate, clock=clock), clock, count)

    taken = run(scenario, late_s_max=late_ms / 1000, seed=seed)
    assert most_in_any_window(taken, 1.0) <= rate
    assert (len(taken) - rate) / (taken[-1] - taken[rate - 1]) >= 0.95 * rate


def test_a_burst_after_a_pause_is_no_exception():
    async def scenario(clock):
        pace = Pace(5, clock=clock)
        taken = []
        for pause in (0, 0.9, 0, 3.0, 0.5, 0.99):
            await asyncio.sleep(pause)
            taken += await take_times(pace, clock, 4)
        return taken

    assert most_in_any_window(run(scenario), 1.0) <= 5


def test_less_than_one_a_second():
    async def scenario(clock):
        return await take_times(Pace(0.5, clock=clock), clock, 6)

    taken = run(scenario)
    gaps = [later - earlier for earlier, later in itertools.pairwise(taken)]
    assert min(gaps) >= 2.0
    assert max(gaps) <= 2.1


def test_highlevels_window_of_ten_seconds():
    async def scenario(clock):
        return await take_times(Pace(99, 10.0, burst=10, clock=clock), clock, 500)

    taken = run(scenario)
    assert most_in_any_window(taken, 10.0) <= 99
    assert taken[9] - taken[0] < 0.05  # a burst of ten leaves at once
    assert len(taken) / (taken[-1] - taken[0]) >= 9.5


def test_zero_is_no_limit():
    async def scenario(clock):
        return await take_times(Pace(0, clock=clock), clock, 1000)

    taken = run(scenario)
    assert taken[-1] - taken[0] < 0.01


def test_after_a_restart_the_last_second_counts_as_full():
    """The process before may have sent a whole second's worth right before it was killed."""

    async def scenario(clock):
        born = clock()
        await asyncio.sleep(0.3)
        pace = Pace(5, full_since=born, clock=clock)
        return [moment - born for moment in await take_times(pace, clock, 10)]

    taken = run(scenario)
    assert 1.0 < taken[0] < 1.05
    assert most_in_any_window([0.0] * 5 + taken, 1.0) <= 5


@pytest.mark.parametrize("limits", [(5, 20), (20, 5), (20, 2, 20), (0.5, 10), (0, 10), (10, 0, 10)])
def test_another_limit_counts_what_was_taken_before(limits):
    """Also for those who wait while it changes."""

    async def scenario(clock):
        pace, taken = Pace(limits[0], burst=4, clock=clock), []

        async def takes():
            while True:
                await pace.take()
                taken.append(clock())
                await asyncio.sleep(0.001)

        tasks = [asyncio.create_task(takes()) for _ in range(5)]
        await asyncio.sleep(2.2)
        for limit in limits[1:]:
            await asyncio.sleep(0.1)
            pace.configure(limit)
            changed = clock()
        await asyncio.sleep(4.0)
        for task in tasks:
            task.cancel()
        return taken, changed

    taken, changed = run(scenario)
    last = [moment for moment in taken if moment >= changed]
    if limits[-2]:  # else nobody counted before
        within = [moment for moment in taken if moment > last[0] - 1.0]
        assert most_in_any_window(within, 1.0) <= limits[-1]
    assert most_in_any_window(last, 1.0) <= limits[-1]
    assert len(last) >= 0.7 * limits[-1] * (4.0 - 1.0)


def test_a_lower_limit_in_between_makes_nobody_forget():
    async def scenario(clock):
        pace = Pace(20, burst=19, clock=clock)
        taken = await take_times(pace, clock, 20)
        pace.configure(2)
        pace.configure(20)
        return taken + await take_times(pace, clock, 20)

    assert most_in_any_window(run(scenario), 1.0) <= 20


def test_another_limit_undoes_no_complaint_and_no_cap():
    async def scenario(clock):
        pace = Pace(20, clock=clock)
        pace.slow_down()
        pace.configure(40)
        complained = pace.rate
        await asyncio.sleep(500)
        await pace.take()
        recovered = pace.rate
        pace.cap(15)
        pace.configure(30)
        return complained, recovered, pace.rate

    assert run(scenario) == (10, 40, 15)


def test_first_come_first_served():
    async def scenario(clock):
        pace, order = Pace(20, clock=clock), []

        async def one(number):
            await pace.take()
            order.append(number)

        await asyncio.gather(*(one(number) for number in range(50)))
        return order

    assert run(scenario) == list(range(50))


def test_a_cancelled_wait_takes_nothing_and_blocks_nobody():
    async def scenario(clock):
        pace = Pace(2, clock=clock)
        await pace.take()
        await pace.take()
        waiters = [asyncio.create_task(pace.take()) for _ in range(10)]
        await asyncio.sleep(0.2)
        for waiter in waiters[:-1]:
            waiter.cancel()
        began = clock()
        await waiters[-1]
        cancelled = await asyncio.gather(*waiters, return_exceptions=True)
        assert [type(one) for one in cancelled[:-1]] == [asyncio.CancelledError] * 9
        return clock() - began

    assert run(scenario) < 1.1


def test_a_complaint_halves_the_rate_and_clean_minutes_bring_it_back():
    async def scenario(clock):
        pace = Pace(8, clock=clock)
        pace.slow_down()
        rates = [pace.rate]
        taken = await take_times(pace, clock, 20)
        assert most_in_any_window(taken, 1.0) <= 4
        for _ in range(5):
            await asyncio.sleep(60)
            await pace.take()
            rates.append(pace.rate)
        pace.slow_down()
        rates.append(pace.rate)
        return rates

    assert run(scenario) == [4, 5, 6.25, 7.8125, 8, 8, 4]


def test_endless_complaints_leave_a_way_back():
    async def scenario(clock):
        pace = Pace(5, clock=clock)
        for _ in range(100):
            pace.slow_down()
        lowest = pace.rate
        await pace.take()
        await asyncio.sleep(3600)
        await pace.take()
        return lowest, pace.rate

    lowest, later = run(scenario)
    assert lowest > 0
    assert later == 5


def test_the_vendors_own_limit_caps_and_never_raises():
    async def scenario(clock):
        pace = Pace(99, 10.0, clock=clock)
        pace.cap(24)
        taken = await take_times(pace, clock, 60)
        assert most_in_any_window(taken, 10.0) <= 24
        pace.cap(500)
        return pace.rate

    assert run(scenario) == 9.9


def test_a_cap_does_not_undo_a_complaint():
    pace = Pace(100, 10.0)
    pace.slow_down()
    pace.cap(90)
    assert pace.rate == 5.0


def test_what_others_used_up_is_counted():
    """Another program on the same budget: the vendor says 3 are left, so three go now and the fourth waits."""

    async def scenario(clock):
        pace = Pace(20, 10.0, burst=10, clock=clock)
        await pace.take()
        pace.observe(remaining=3)
        began = clock()
        taken = await take_times(pace, clock, 4)
        return [moment - began for moment in taken]

    *first, fourth = run(scenario)
    assert max(first) < 2
    assert fourth > 10


async def test_in_real_time_with_five_tasks():
    """The promise on a real loop: 50 in any second, however late its timers are."""
    rate = 50
    taken = await take_times(Pace(rate), time.monotonic, 150)
    assert most_in_any_window(taken, 1.0) <= rate


def test_a_limit_of_whole_takes_in_a_second_when_it_is_a_fraction():
    async def scenario(clock):
        return await take_times(Pace(2.5, clock=clock), clock, 12)

    assert most_in_any_window(run(scenario), 1.0) <= 2.5


@pytest.mark.parametrize("limit", [1, 7, 1_000_000])
def test_any_configurable_rate_is_accepted(limit):
    async def scenario(clock):
        pace = Pace(limit, clock=clock)
        await pace.take()
        return pace.rate

    assert run(scenario) == limit
