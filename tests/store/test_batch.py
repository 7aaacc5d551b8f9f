"""What waits travels together; each is answered for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from leadenrich.store.batch import Batcher


class Line:
    """Sends batches one at a time, when it is let."""

    def __init__(self, most: int = 10, calls: int = 1) -> None:
        self.batches: list[list[int]] = []
        self.under_way = 0
        self.gate = asyncio.Event()
        self.error: BaseException | None = None
        self.calls = calls
        self.batcher: Batcher[int, int] = Batcher(self.send, most=most, calls=calls)

    async def send(self, items: Sequence[int]) -> list[int]:
        self.under_way += 1
        assert self.under_way <= self.calls
        self.batches.append(list(items))
        try:
            await self.gate.wait()
            if self.error and len(self.batches) == 1:
                raise self.error
            return [item * 10 for item in items]
        finally:
            self.under_way -= 1

    def put(self, *items: int) -> list[asyncio.Task[int]]:
        return [asyncio.create_task(self.batcher(item)) for item in items]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_idle_line_sends_at_once_and_what_comes_meanwhile_travels_together() -> None:
    line = Line()
    tasks = line.put(1)
    await settle()
    tasks += line.put(2, 3, 4)
    await settle()
    assert line.batches == [[1]]
    line.gate.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40]
    assert line.batches == [[1], [2, 3, 4]]


async def test_a_batch_has_a_limit() -> None:
    line = Line(most=2)
    line.gate.set()
    assert await asyncio.gather(*line.put(*range(5))) == [0, 10, 20, 30, 40]
    assert line.batches == [[0, 1], [2, 3], [4]]


async def test_an_error_is_told_to_all_who_travelled_and_to_nobody_else() -> None:
    line = Line()
    line.error = ValueError("away")
    first = line.put(1, 2)
    await settle()
    second = line.put(3)
    await settle()
    line.gate.set()
    assert [str(error) for error in await asyncio.gather(*first, return_exceptions=True)] == ["away", "away"]
    assert await asyncio.gather(*second) == [30]


async def test_answers_that_are_too_few_are_nobody_s() -> None:
    """Which of them is missing nobody knows: rather none than another's."""

    async def send(items: Sequence[int]) -> list[int]:
        return list(items)[1:]

    batcher: Batcher[int, int] = Batcher(send, most=10)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(batcher(1), batcher(2), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["2 items sent, 1 answers came"] * 2
    assert {type(answer) for answer in answers} == {RuntimeError}


async def test_one_who_gives_up_waiting_takes_nobody_along() -> None:
    line = Line()
    tasks = line.put(1)
    await settle()
    tasks += line.put(2, 3)
    await settle()
    tasks[0].cancel()
    tasks[1].cancel()
    line.gate.set()
    assert await tasks[2] == 30
    assert line.batches == [[1], [2, 3]]  # what was handed in is sent: a lead is not lost because its sender left
    for task in tasks[:2]:
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_when_the_sender_itself_is_ended_nobody_waits_for_ever() -> None:
    line = Line()
    sent = line.put(1)
    await settle()
    waiting = line.put(2)
    await settle()
    [sender] = [task for task in asyncio.all_tasks() if task.get_name() == "batch"]
    sender.cancel()
    with pytest.raises(ConnectionAbortedError):
        await sent[0]
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    with pytest.raises(asyncio.CancelledError):
        await sender  # who ended it must hear that it ended so
    line.gate.set()
    assert await asyncio.gather(*line.put(3)) == [30]


async def test_two_calls_may_be_under_way_and_no_more() -> None:
    line = Line(calls=2)
    tasks = line.put(1)
    await settle()
    tasks += line.put(2, 3)
    await settle()
    tasks += line.put(4, 5)
    await settle()
    assert line.batches == [[1], [2, 3]]
    line.gate.set()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40, 50]
    assert line.batches == [[1], [2, 3], [4, 5]]


async def test_items_of_one_key_never_travel_in_two_calls_at_once() -> None:
    """A contact's events must reach Redis in their order, whoever else overtakes whom."""
    line = Line(calls=2)
    line.batcher = Batcher(line.send, most=10, calls=2, key=lambda number: number % 10)
    tasks = line.put(11)
    await settle()
    tasks += line.put(21, 12, 31)
    await settle()
    assert line.batches == [[11], [12]]
    line.gate.set()
    assert await asyncio.gather(*tasks) == [110, 210, 120, 310]
    assert [number for batch in line.batches for number in batch if number % 10 == 1] == [11, 21, 31]
