"""Properties are bought once: asked of the cache first, shared with whoever asks meanwhile, recorded before used.

One process shares a call in flight by a future; several processes by a mark in Redis that expires.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import backoff
import structlog

from leadenrich.config import RealEstateApiSettings
from leadenrich.core.address import NormalAddress
from leadenrich.core.errors import ProviderOut, Throttled, Transient, Trouble
from leadenrich.core.job import StepRecord
from leadenrich.core.property import Found, LookupAnswer, decode_answer, encode_answer
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.schema import credits_key, property_keys, spending_key
from leadenrich.store.scripts import Script

log = structlog.get_logger("leadenrich.purchases")

FLIGHT_LOOK_S = 0.2
MARK_SPARE_S = 7200.0  # a mark outlives a jump of Redis' clock: who waits ends it, by a clock that does not jump
SAVE_WITHIN_S = 60.0


class Source(Protocol):
    """Who sells: one call, one sale."""

    name: str

    async def lookup(self, address: NormalAddress, *, location_id: str) -> LookupAnswer: ...


class Steps(Protocol):
    """The checkpoints of the job that buys."""

    def get(self, name: str) -> StepRecord | None: ...

    async def intend(self, name: str) -> None: ...

    async def withdraw(self, name: str) -> None: ...

    async def record(self, name: str, result: bytes, *, cached: bool = False, credits: int = 0) -> None: ...


async def _unknown(process: str) -> bool:
    return False


class Purchases:
    """`flight_s` bounds how long one purchase may take, waiting for the rate included, before others buy themselves.

    `worker` is `<name>/<boot>` of this process: what an earlier boot of the same name left in flight is dead.
    """

    def __init__(
        self,
        connection: Connection,
        source: Source,
        settings: RealEstateApiSettings,
        *,
        flight_s: float,
        worker: str = "",
        is_over: Callable[[str], Awaitable[bool]] = _unknown,
        on_credit: Callable[[int], None] = lambda credits: None,
        on_cached: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._settings = settings
        self._flight_s = flight_s
        self._lost: dict[str, tuple[float, float]] = {}  # processes that lost a job to this one: first, last time met
        self._is_over = is_over
        self._worker = worker or f"{secrets.token_hex(8)}/0"
        self._on_credit = on_credit
        self._on_cached = on_cached
        self._acquire = Script(connection, "acquire")
        self._settle = Script(connection, "settle")
        self._spend = Script(connection, "spend")
        self._here: dict[str, asyncio.Future[LookupAnswer]] = {}

    async def buy(
        self, address: NormalAddress, *, location_id: str, steps: Steps, step: str
    ) -> tuple[LookupAnswer, bool]:
        """The answer for an address, and whether it cost nothing now (cache, another lead's call, an earlier run).

        Raises: what the source raises; ProviderOut(kind="budget") when the day's credits are spent; LostLease;
        StoreUnavailable.
        """
        known = steps.get(step)
        if known is not None and known.result is not None:
            return decode_answer(zlib.decompress(known.result)), True
        while (flying := self._here.get(address.key)) is not None:
            answer = await _outcome(flying)
            if answer is not None:
                await steps.record(step, _pack(answer), cached=True)
                self._on_cached()
                return answer, True
        landing: asyncio.Future[LookupAnswer] = asyncio.get_running_loop().create_future()
        self._here[address.key] = landing
        try:
            answer, cached = await self._across_processes(address, location_id, steps, step, _former(known))
            if not landing.done():
                landing.set_result(answer)
            return answer, cached
        finally:
            del self._here[address.key]
            landing.cancel()

    async def _across_processes(
        self, address: NormalAddress, location_id: str, steps: Steps, step: str, former: str
    ) -> tuple[LookupAnswer, bool]:
        """`former` is the process of this job's earlier run, which lost its lease over this purchase; "" none."""
        record, flight = property_keys(self._source.name, address.key)
        owner = f"{self._worker}:{secrets.token_hex(8)}"
        began = since = time.monotonic()
        deadline, holder, gone = began + self._flight_s + 5, "", ""
        mark_ms = round((self._flight_s + MARK_SPARE_S) * 1000)
        while True:
            word, *packed = await self._acquire([record, flight], [owner, mark_ms, gone])
            if word == b"hit":
                await steps.record(step, packed[0], cached=True)
                self._on_cached()
                return decode_answer(zlib.decompress(packed[0])), True
            if word == b"go":
                return await self._buy_now(address, location_id, steps, step, owner), False
            now = time.monotonic()
            if packed[0].decode() != holder:
                holder, since = packed[0].decode(), now
            over = now - since >= self._flight_s or await self._gives_up(holder.rpartition(":")[0], former, began)
            if over and gone != holder:
                gone = holder
                continue
            if now > deadline:
                raise Transient("another daemon's look-up of the same address did not end", provider=self._source.name)
            await asyncio.sleep(FLIGHT_LOOK_S)

    async def _gives_up(self, process: str, former: str, began: float) -> bool:
        """Whether nothing more is to be hoped for from the process that buys: it is dead, or silent for too long.

        The job's own earlier run may only sleep, and its answer be on the way; but no call takes longer than its
        timeout. That process is waited for once: its jobs come back one after the other, and each would wait. After a
        while without one it counts anew: it may have woken meanwhile, and sleep again.
        """
        if former and process == former:
            now = time.monotonic()
            first_met, last_met = self._lost.get(former, (began, began))
            if began - last_met > self._settings.timeout:
                first_met = began
            self._lost[former] = first_met, now
            if now - first_met >= self._settings.timeout:
                return True
        return await self._is_over(process)

    async def _buy_now(
        self, address: NormalAddress, location_id: str, steps: Steps, step: str, owner: str
    ) -> LookupAnswer:
        record, flight = property_keys(self._source.name, address.key)
        packed, ttl_s = None, 0.0
        try:
            answer = await self._pay(address, location_id, steps, step)
            packed = _pack(answer)
            found = isinstance(answer, Found)
            ttl_s = self._settings.cache_ttl if found else self._settings.cache_miss_ttl
        finally:
            # Kept for everybody before this job uses it: neither a lost lease nor the way down may lose what was paid.
            await asyncio.shield(self._save(record, flight, owner, packed, ttl_s))
        self._here[address.key].set_result(answer)
        self._on_credit(1)
        await steps.record(step, packed, credits=1)
        return answer

    async def _pay(self, address: NormalAddress, location_id: str, steps: Steps, step: str) -> LookupAnswer:
        """What surely sold nothing gives its credit back and leaves no intent."""
        day = await self._reserve_credit()
        try:
            await steps.intend(step)
        except BaseException:
            await self._return_credit(day)
            raise
        try:
            return await self._source.lookup(address, location_id=location_id)
        except BaseException as error:
            if not _was_sold(error):
                await self._return_credit(day)
                await steps.withdraw(step)
            raise

    async def _save(self, record: str, flight: str, owner: str, packed: bytes | None, ttl_s: float) -> None:
        """A paid answer is worth waiting for Redis; a mark alone expires by itself."""
        patience_s = SAVE_WITHIN_S if packed else 0.001

        @backoff.on_exception(
            backoff.expo, StoreUnavailable, max_time=patience_s, factor=0.1, max_value=2.0, jitter=None, logger=None
        )
        async def settle() -> None:
            await self._settle([record, flight], [owner, packed or b"", round(ttl_s * 1000)])

        try:
            await settle()
        except StoreUnavailable as error:
            log.warning("purchase_not_cached", error=str(error))

    async def _reserve_credit(self) -> str:
        """The day that the credit was taken from. Raises: ProviderOut(kind="budget")."""
        now = datetime.fromtimestamp(time.time(), UTC)
        day = now.date().isoformat()
        granted, spent = await self._spend(self._budget(day), [1, self._settings.daily_credits])
        if not granted:
            midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
            raise ProviderOut(
                f"the budget of {self._settings.daily_credits} credits a day is spent ({spent} today)",
                provider=self._source.name,
                kind="budget",
                until_ms=round(midnight.timestamp() * 1000),
            )
        return day

    def _budget(self, day: str) -> list[str]:
        """The day's key, and that of a request's own: a lost answer is asked for again, and must count once."""
        return [credits_key(self._source.name, day), spending_key(self._source.name, secrets.token_hex(8))]

    async def _return_credit(self, day: str) -> None:
        try:
            await self._spend(self._budget(day), [-1, 0])
        except StoreUnavailable as error:
            log.warning("credit_not_returned", error=str(error))


async def _outcome(flying: asyncio.Future[LookupAnswer]) -> LookupAnswer | None:
    """What another lead's call gave; None when it failed or was given up: then one of those who waited tries itself."""
    await asyncio.wait([flying])
    return None if flying.cancelled() else flying.result()


def _former(known: StepRecord | None) -> str:
    """The `<worker>/<boot>` that meant to buy for this job, and of which nothing was heard since."""
    return known.by.rpartition(":")[0] if known is not None and known.ended_ms is None else ""


def _was_sold(error: BaseException) -> bool:
    """Whether the vendor may have counted a call that ended so. A refusal it told us is none."""
    if isinstance(error, Throttled | ProviderOut):
        return False
    if isinstance(error, Transient):
        return error.sent and error.status is None
    return not isinstance(error, Trouble)


def _pack(answer: LookupAnswer) -> bytes:
    return zlib.compress(encode_answer(answer), 1)
