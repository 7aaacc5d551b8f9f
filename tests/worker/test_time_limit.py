"""One timer bounds many runs, each by its own time."""

from __future__ import annotations

import asyncio

import pytest

from leadenrich.worker.time_limit import TimeLimit


async def run(limit: TimeLimit, ended: list[tuple[str, float]], name: str, work_s: float) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        with limit():
            await asyncio.sleep(work_s)
        ended.append((name, 0.0))
    except TimeoutError:
        ended.append((name, loop.time() - began))


async def test_what_takes_too_long_is_ended_after_its_own_time_and_the_rest_goes_on() -> None:
    limit, ended = TimeLimit(0.2), list[tuple[str, float]]()
    async with asyncio.TaskGroup() as group:
        group.create_task(run(limit, ended, "brief", 0.01))
        group.create_task(run(limit, ended, "first", 60))
        await asyncio.sleep(0.1)
        group.create_task(run(limit, ended, "second", 60))
        group.create_task(run(limit, ended, "brief too", 0.15))
    assert [name for name, _ in ended] == ["brief", "first", "brief too", "second"]
    assert all(took >= 0.2 for _, took in ended if took)


async def test_one_timer_is_set_for_all_and_none_when_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    limit, loop, timers = TimeLimit(0.05), asyncio.get_running_loop(), list[float]()
    call_at = loop.call_at
    monkeypatch.setattr(
        loop, "call_at", lambda when, *rest, **more: (timers.append(when), call_at(when, *rest, **more))[1]
    )
    for _ in range(100):
        with limit():
            pass
    assert len(timers) == 1
    await asyncio.sleep(0.1)
    assert limit._timer is None


async def test_a_cancellation_from_outside_stays_one() -> None:
    limit = TimeLimit(60)
    task = asyncio.create_task(run(limit, [], "cancelled", 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not limit._ends


async def test_both_at_once_is_a_cancellation() -> None:
    """Who cancels the task wants it to end, not to make something of the time that is over."""
    limit = TimeLimit(0.01)
    told: list[str] = []

    async def work() -> None:
        try:
            with limit():
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    asyncio.current_task().cancel()  # type: ignore[union-attr]
                    raise
        except TimeoutError:
            told.append("time is over")

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not told


async def test_after_the_time_is_over_the_task_can_wait_again() -> None:
    limit, ended = TimeLimit(0.01), list[tuple[str, float]]()
    await run(limit, ended, "late", 60)
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert ended
