"""Leads on our own disk while Redis cannot take them: kept before they are answered, handed on in their order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import structlog

from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Receipt, Submission
from leadenrich.store.spool_file import FRAME_BYTES, SPOOL_BYTES_MAX, SpoolFile, SpoolFull, SpoolRefused

T = TypeVar("T")

log: Final = structlog.get_logger("leadenrich.store")


class Record(msgspec.Struct, frozen=True):
    """What stands in the file of one lead. `at_ms`: when it came, epoch milliseconds by our clock."""

    at_ms: int
    submission: Submission


@dataclass(frozen=True, slots=True)
class _Known:
    job_id: str
    until_ms: float


class Spool:
    """Of one event loop; all file work is done in one thread, so that no fsync holds up the loop.

    A delivery that is known here is answered with its job's id, as Redis would.
    """

    def __init__(self, file: SpoolFile, *, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """Raises: SpoolRefused."""
        self._file = file
        self._now_ms = now_ms
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._deliveries: dict[str, _Known] = {}
        for payload in file.all():
            self._remember(_record(payload, file.path))

    @property
    def leads(self) -> int:
        """How many wait to be handed on."""
        return len(self._file)

    @property
    def bytes(self) -> int:
        return self._file.size

    async def append(self, batch: Sequence[Submission]) -> list[Receipt | StoreUnavailable]:
        """Keeps what fits, with one write and one fsync, and answers each. Every lead needs its job's id.

        Raises: StoreUnavailable, when nothing could be written.
        """
        answers: list[Receipt | StoreUnavailable] = []
        kept: dict[str, Record] = {}  # by delivery key, or job id without one
        payloads: list[bytes] = []
        now_ms, room = self._now_ms(), self._file.room()
        for item in batch:
            if first := self._first(item.delivery_key, kept, now_ms):
                answers.append(Receipt("duplicate", first, spooled=True))
                continue
            record = Record(now_ms, item)
            payload = msgspec.json.encode(record)
            room -= FRAME_BYTES + len(payload)
            if room < 0:  # stays so: nobody overtakes the one that did not fit
                answers.append(StoreUnavailable("the spool is full"))
                continue
            kept[item.delivery_key or item.job_id] = record
            payloads.append(payload)
            answers.append(Receipt("queued", item.job_id, spooled=True))
        if payloads:
            try:
                await self._in_thread(lambda: self._file.append(payloads))
            except SpoolFull as error:
                raise StoreUnavailable(str(error)) from error
        for record in kept.values():
            self._remember(record)
        return answers

    async def head(self, most: int) -> list[Submission]:
        """The oldest leads. Raises: OSError."""
        payloads = await self._in_thread(lambda: self._file.head(most))
        return [_record(payload, self._file.path).submission for payload in payloads]

    async def forget(self, handed_on: Sequence[Submission]) -> None:
        """Redis has the oldest leads, these.

        Their deliveries stay known until the last one is handed on: so long the same one again would come here too.
        """
        await self._in_thread(lambda: self._file.forget(len(handed_on)))
        if not self.leads:
            self._deliveries.clear()

    def stop(self) -> None:
        """Waits for a write under way."""
        self._thread.shutdown(wait=True)

    def _first(self, delivery_key: str, kept: Mapping[str, Record], now_ms: int) -> str:
        """The job of the same delivery, which came here before or comes with this batch; "" for none."""
        if not delivery_key:
            return ""
        if delivery_key in kept:
            return kept[delivery_key].submission.job_id
        known = self._deliveries.get(delivery_key)
        return known.job_id if known is not None and now_ms < known.until_ms else ""

    def _remember(self, record: Record) -> None:
        item = record.submission
        if item.delivery_key:
            self._deliveries[item.delivery_key] = _Known(item.job_id, record.at_ms + item.delivery_window_s * 1000)

    async def _in_thread(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)


@asynccontextmanager
async def open_spool(path: Path, *, bytes_max: int = SPOOL_BYTES_MAX) -> AsyncIterator[Spool]:
    """Raises: SpoolRefused."""
    file = await asyncio.to_thread(SpoolFile, path, bytes_max=bytes_max)
    if file.cut or file.rotten:
        log.warning("spool_damaged", cut_bytes=file.cut, rotten_bytes=file.rotten, leads=len(file), path=str(path))
    elif len(file):
        log.info("spool_found", leads=len(file), bytes=file.size, path=str(path))
    try:
        spool = await asyncio.to_thread(Spool, file)
        try:
            yield spool
        finally:
            spool.stop()
    finally:
        file.close()


def _record(payload: bytes, path: Path) -> Record:
    try:
        return msgspec.json.decode(payload, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpoolRefused(f"the spool {path} holds a lead of another version: run that leadenrich") from error
