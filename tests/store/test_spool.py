"""Leads that Redis cannot take: kept, answered, handed on in their order, each one job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from leads import lead
from queue_desk import Desk

from leadenrich.core.job import Lane
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.intake import SpoolingIntake
from leadenrich.store.queue import Queue, Receipt, Submission
from leadenrich.store.spool import Spool, open_spool
from leadenrich.store.spool_file import SPOOL_BYTES_MAX, SpoolRefused, frame

WEEK_S = 604_800.0


def submission(number: int = 1, *, key: str | None = None, street: str = "", **more: Any) -> Submission:
    """The lead of contact `number`; its delivery has a key of its own unless told."""
    delivery = f"wh:{number}" if key is None else key
    return Submission(lead(f"c{number}", street or f"{number} Maple St", **more), Lane.LIVE, delivery, WEEK_S)


class Away(Queue):
    """The real queue behind a Redis that can be away, hang, or carry out a call and lose its answer."""

    away = False
    hangs = False
    loses_answers = False
    calls = 0

    async def submit_all(self, batch: Sequence[Submission]) -> list[Receipt]:
        self.calls += 1
        if self.hangs:
            await asyncio.sleep(3600)
        if self.away:
            raise StoreUnavailable("Redis: gone")
        receipts = await super().submit_all(batch)
        if self.loses_answers:
            raise StoreUnavailable("Redis: connection lost")
        return receipts


@pytest.fixture
def queue(desk: Desk) -> Away:
    desk.queue.__class__ = Away
    assert isinstance(desk.queue, Away)
    return desk.queue


class Hall:
    """An intake with its spool, and what it told of what it handed on."""

    def __init__(self, queue: Away, spool: Spool) -> None:
        self.queue = queue
        self.spool = spool
        self.handed_on: list[tuple[Submission, Receipt]] = []
        self.intake = SpoolingIntake(
            queue, spool, on_handed_on=lambda *told: self.handed_on.append(told), take_s=0.2, probe_s=0.01
        )

    async def take(self, *submissions: Submission) -> list[Receipt]:
        return list(await asyncio.gather(*(self.intake.submit(item) for item in submissions)))

    async def drained(self) -> None:
        async with asyncio.timeout(10):
            while self.spool.leads:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def hall_of(queue: Away, path: Path, *, bytes_max: int = SPOOL_BYTES_MAX) -> AsyncIterator[Hall]:
    async with open_spool(path, bytes_max=bytes_max) as spool:
        hall = Hall(queue, spool)
        drain = asyncio.create_task(hall.intake.drain())
        try:
            yield hall
        finally:
            drain.cancel()
            await asyncio.wait([drain])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
async def hall(queue: Away, path: Path) -> AsyncIterator[Hall]:
    async with hall_of(queue, path) as made:
        yield made


async def waiting(desk: Desk) -> list[str]:
    """The ids that wait in the live lane, oldest first."""
    return [job_id.decode() for job_id in await desk.connection.execute("LRANGE", desk.keys.wait_live, 0, -1)]


# --- where a lead goes ------------------------------------------------------------------------------------------------


async def test_while_redis_takes_leads_the_spool_has_none(desk: Desk, hall: Hall) -> None:
    receipts = await hall.take(submission(1), submission(2))
    assert [receipt.verb for receipt in receipts] == ["queued", "queued"]
    assert not any(receipt.spooled for receipt in receipts)
    assert await waiting(desk) == [receipt.job_id for receipt in receipts]
    assert hall.spool.leads == 0
    assert (await hall.take(submission(1)))[0] == Receipt("duplicate", receipts[0].job_id)


async def test_without_redis_a_lead_is_kept_and_becomes_the_job_that_was_answered(desk: Desk, hall: Hall) -> None:
    hall.queue.away = True
    [receipt] = await hall.take(submission())
    assert (receipt.verb, receipt.spooled, hall.spool.leads) == ("queued", True, 1)
    assert await waiting(desk) == []
    hall.queue.away = False
    await hall.drained()
    assert await waiting(desk) == [receipt.job_id]
    job = await desk.job(receipt.job_id or "")
    assert (job.state, job.contact_id) == ("QUEUED", "c1")
    assert job.lead is not None
    [(handed_on, judged)] = hall.handed_on
    assert (handed_on.lead, judged) == (submission().lead, Receipt("queued", receipt.job_id))


async def test_a_redis_that_hangs_costs_one_wait_and_no_second(hall: Hall) -> None:
    hall.queue.hangs = True
    began = time.monotonic()
    [first] = await hall.take(submission(1))
    waited = time.monotonic() - began
    assert first.spooled
    assert 0.2 <= waited < 2.0
    calls = hall.queue.calls
    receipts = await hall.take(*(submission(number) for number in range(2, 50)))
    assert all(receipt.spooled for receipt in receipts)
    assert time.monotonic() - began - waited < 2.0  # 48 waits would take ten seconds
    assert hall.queue.calls - calls <= 1  # the probe's


async def test_nobody_overtakes_those_who_wait(desk: Desk, hall: Hall) -> None:
    """What comes while the spool is being emptied goes behind it; when it is empty leads go straight to Redis."""
    hall.queue.away = True
    ids = [receipt.job_id for receipt in await hall.take(*(submission(number) for number in range(300)))]
    assert hall.spool.leads == 300
    hall.queue.away = False
    number = 300
    spooled = True
    while spooled:
        [receipt] = await hall.take(submission(number))
        ids.append(receipt.job_id)
        spooled, number = receipt.spooled, number + 1
    assert number > 301
    assert hall.spool.leads == 0
    assert await waiting(desk) == ids


async def test_a_call_whose_answer_was_lost_is_no_second_job(desk: Desk, hall: Hall) -> None:
    hall.queue.loses_answers = True
    receipts = await hall.take(submission(1), submission(2, key=""), submission(3, kind="workflow"))
    assert all(receipt.spooled for receipt in receipts)
    ids = [receipt.job_id for receipt in receipts]
    assert await waiting(desk) == ids
    hall.queue.loses_answers = False
    await hall.drained()
    assert await waiting(desk) == ids
    assert [(judged.verb, judged.job_id) for _, judged in hall.handed_on] == [("queued", job_id) for job_id in ids]


async def test_a_mistake_that_is_no_outage_is_not_hidden_in_the_spool(hall: Hall, monkeypatch: Any) -> None:
    async def wrong(batch: Sequence[Submission]) -> list[Receipt]:
        raise ValueError("wrong")

    monkeypatch.setattr(hall.queue, "submit_all", wrong)
    with pytest.raises(ValueError, match="wrong"):
        await hall.intake.submit(submission())
    assert hall.spool.leads == 0


# --- the same delivery ------------------------------------------------------------------------------------------------


async def test_the_same_delivery_without_redis_answers_the_first_job(desk: Desk, hall: Hall) -> None:
    hall.queue.away = True
    first, at_once, other = await hall.take(submission(1), submission(1), submission(2))
    [later] = await hall.take(submission(1))
    assert at_once == later == Receipt("duplicate", first.job_id, spooled=True)
    assert hall.spool.leads == 2
    hall.queue.away = False
    await hall.drained()
    assert await waiting(desk) == [first.job_id, other.job_id]
    assert await hall.take(submission(1)) == [Receipt("duplicate", first.job_id)]


async def test_a_delivery_that_redis_had_before_is_told_so_when_it_is_back(desk: Desk, hall: Hall) -> None:
    [before] = await hall.take(submission(1))
    hall.queue.away = True
    [spooled] = await hall.take(submission(1))
    assert (spooled.verb, spooled.job_id != before.job_id) == ("queued", True)
    hall.queue.away = False
    await hall.drained()
    assert [judged for _, judged in hall.handed_on] == [Receipt("duplicate", before.job_id)]
    assert await waiting(desk) == [before.job_id]


async def test_a_delivery_handed_on_is_known_while_others_wait(desk: Desk, queue: Away, path: Path) -> None:
    """Redis would be asked about it behind those that wait: too late for an answer. Also in the next life."""
    queue.away = True
    async with open_spool(path) as spool:
        hall = Hall(queue, spool)
        ids = [receipt.job_id for receipt in await hall.take(submission(1), submission(2))]
        [first] = await spool.head(1)
        await spool.forget([first])
        assert await hall.take(submission(1)) == [Receipt("duplicate", ids[0], spooled=True)]
    async with open_spool(path) as spool:
        assert spool.leads == 1
        assert await Hall(queue, spool).take(submission(1)) == [Receipt("duplicate", ids[0], spooled=True)]


async def test_a_delivery_is_known_as_long_as_its_window_says(hall: Hall) -> None:
    hall.queue.away = True
    short = replace(submission(1), delivery_window_s=0.05)
    [first] = await hall.take(short)
    assert (await hall.take(short))[0].verb == "duplicate"
    await asyncio.sleep(0.06)
    [second] = await hall.take(short)
    assert (second.verb, second.job_id != first.job_id) == ("queued", True)


async def test_an_address_that_changed_twice_without_redis_ends_as_the_last(desk: Desk, hall: Hall) -> None:
    hall.queue.away = True
    steps = [
        submission(1, key="wh:a", street="1 Old St", event_ms=1000),
        submission(1, key="wh:b", street="2 New St", kind="update", event_ms=2000),
        submission(1, key="wh:c", street="3 Last St", kind="update", event_ms=3000),
    ]
    receipts = [(await hall.take(step))[0] for step in steps]
    hall.queue.away = False
    await hall.drained()
    assert [judged.verb for _, judged in hall.handed_on] == ["queued", "duplicate", "duplicate"]
    claim = await desk.one()
    assert claim.job_id == receipts[0].job_id
    assert claim.lead is not None
    assert claim.lead.address.line1 == "3 Last St"


# --- a new life -------------------------------------------------------------------------------------------------------


async def test_what_waits_outlives_the_process(desk: Desk, queue: Away, path: Path) -> None:
    queue.away = True
    async with hall_of(queue, path) as hall:
        ids = [receipt.job_id for receipt in await hall.take(*(submission(number) for number in range(20)))]
    async with hall_of(queue, path) as hall:
        assert hall.spool.leads == 20
        assert await hall.take(submission(3)) == [Receipt("duplicate", ids[3], spooled=True)]
        [receipt] = await hall.take(submission(20))
        queue.away = False
        await hall.drained()
    assert await waiting(desk) == [*ids, receipt.job_id]


async def test_a_spool_handed_on_twice_makes_no_second_job(desk: Desk, queue: Away, path: Path) -> None:
    """The process died between Redis' answer and the mark: the file stands as before."""
    queue.away = True
    async with hall_of(queue, path) as hall:
        ids = [receipt.job_id for receipt in await hall.take(*(submission(number) for number in range(20)))]
    before = path.read_bytes()
    queue.away = False
    for _ in range(3):
        path.write_bytes(before)
        async with hall_of(queue, path) as hall:
            await hall.drained()
        assert await waiting(desk) == ids
    claims = await desk.claim(20)
    for claim in claims:
        await desk.complete(claim)
    path.write_bytes(before)
    async with hall_of(queue, path) as hall:
        await hall.drained()
    assert await waiting(desk) == []


async def test_a_torn_tail_is_told_and_the_rest_kept(queue: Away, path: Path, capsys: Any) -> None:
    queue.away = True
    async with hall_of(queue, path) as hall:
        await hall.take(submission(1), submission(2))
    with path.open("ab") as file:
        file.write(frame(b"{half of a record")[:-5])
    capsys.readouterr()
    async with open_spool(path) as spool:
        assert spool.leads == 2
    told = "".join(capsys.readouterr())
    assert "spool_damaged" in told
    assert "cut_bytes=20" in told.replace("\x1b[0m", "").replace("\x1b[36m", "").replace("\x1b[35m", "")


async def test_leads_of_another_version_are_left_as_they_are(path: Path) -> None:
    async with open_spool(path):
        pass
    with path.open("ab") as file:
        file.write(frame(b'{"at_ms": "never"}'))
    before = path.read_bytes()
    with pytest.raises(SpoolRefused, match="another version"):
        async with open_spool(path):
            pass
    assert path.read_bytes() == before


# --- no room ----------------------------------------------------------------------------------------------------------


async def test_a_full_spool_refuses_and_takes_leads_again_when_it_is_empty(desk: Desk, queue: Away, path: Path) -> None:
    async with hall_of(queue, path, bytes_max=2000) as hall:
        queue.away = True
        answers = await asyncio.gather(
            *(hall.intake.submit(submission(number)) for number in range(20)), return_exceptions=True
        )
        kept = [answer.job_id for answer in answers if isinstance(answer, Receipt)]
        assert 0 < len(kept) < 20
        assert all(isinstance(answer, StoreUnavailable) for answer in answers[len(kept) :])
        assert hall.intake.refuses == "the spool is full"
        with pytest.raises(StoreUnavailable, match="full"):
            await hall.intake.submit(submission(21))
        queue.away = False
        await hall.drained()
        [receipt] = await hall.take(submission(22))
        assert hall.intake.refuses == ""
        assert await waiting(desk) == [*kept, receipt.job_id]


async def test_without_redis_and_without_disk_nothing_is_answered(hall: Hall, monkeypatch: Any) -> None:
    hall.queue.away = True
    real = __import__("os").fsync

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        await hall.intake.submit(submission(1))
    assert hall.intake.refuses
    assert hall.spool.leads == 0
    monkeypatch.setattr("os.fsync", real)
    [receipt] = await hall.take(submission(1))
    assert receipt.spooled
    assert hall.intake.refuses == ""


async def test_a_lead_that_redis_chokes_on_is_neither_lost_nor_the_end(
    desk: Desk, hall: Hall, monkeypatch: Any
) -> None:
    hall.queue.away = True
    [receipt] = await hall.take(submission(1))
    real, choked = hall.queue.submit_all, asyncio.Event()

    async def choke(batch: Sequence[Submission]) -> list[Receipt]:
        choked.set()
        raise ValueError("what is this?")

    monkeypatch.setattr(hall.queue, "submit_all", choke)
    await asyncio.wait_for(choked.wait(), 5)
    assert hall.spool.leads == 1
    hall.queue.away = False
    monkeypatch.setattr(hall.queue, "submit_all", real)
    await hall.drained()
    assert await waiting(desk) == [receipt.job_id]


async def test_leads_that_come_together_share_one_write(hall: Hall, monkeypatch: Any) -> None:
    hall.queue.away = True
    await hall.take(submission(0))
    syncs, real = list[int](), __import__("os").fsync
    monkeypatch.setattr("os.fsync", lambda descriptor: (syncs.append(descriptor), real(descriptor))[1])
    receipts = await hall.take(*(submission(number) for number in range(1, 200)))
    assert all(receipt.spooled for receipt in receipts)
    assert len(syncs) == 1
