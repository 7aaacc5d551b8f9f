"""When a provider is out of order for everybody, it is paused for everybody, and no lead is charged for it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from leadenrich.core.errors import Permanent, ProviderOut, Throttled, Transient, Trouble
from leadenrich.core.job import Claim, Event
from leadenrich.providers.breaker import Breaker
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import PROBE_MS
from leadenrich.store.switches import PauseKind, Switches

LEADS_IN_A_ROW = 5
SELLER = "realestateapi"

log = structlog.get_logger("leadenrich.worker")

_KIND: dict[str, PauseKind] = {
    "auth": "auth", "credit": "credit", "certificate": "certificate", "outage": "outage", "budget": "budget",
    "operator": "operator",
}  # fmt: skip


class Outages:
    """Judges errors by provider. `report` hears of a pause and its end once, by this process."""

    def __init__(
        self,
        switches: Switches,
        *,
        report: Callable[..., None],
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        probe_ms: int = PROBE_MS,
    ) -> None:
        self._switches = switches
        self._report = report
        self._now_ms = now_ms
        self._probe_ms = probe_ms
        self._breakers: dict[str, Breaker] = {}

    async def judge(self, error: Exception, claim: Claim, *, looked_up: bool) -> Exception:
        """The error as it counts for the job; pauses the provider where it says so. Raises: StoreUnavailable.

        `looked_up`: the property provider answered this run before the error came.
        """
        await self._work(claim, _who_answered(error, claim, looked_up))
        if isinstance(error, Transient) and error.provider:
            counted = await self._counted(error, claim)
            return await self._stopped(counted, error) if isinstance(counted, ProviderOut) else counted
        if isinstance(error, Throttled):
            await self._switches.pause_provider(error.provider, "throttle", str(error), until_ms=error.until_ms)
        elif isinstance(error, ProviderOut):
            await self.pause(error)
        return error

    async def _counted(self, error: Transient, claim: Claim) -> Transient | ProviderOut:
        breaker = self._breakers.setdefault(error.provider, Breaker(LEADS_IN_A_ROW))
        breaker.failed(claim.contact_id)
        if breaker.is_open:
            why = f"{LEADS_IN_A_ROW} different leads failed in a row"
        elif claim.probe and (await self._out([error.provider])):
            why = "the probe failed"
        else:
            return error
        return ProviderOut(f"{error} ({why})", provider=error.provider, kind="outage", status=error.status)

    async def _stopped(self, out: ProviderOut, error: Transient) -> Transient | ProviderOut:
        """Pauses for everybody, unless Redis cannot be reached either: then it may be this machine that is cut off.

        Written when the wire is back, such a pause would stop all daemons for a vendor that served them all the time.
        """
        try:
            await self.pause(out)
        except StoreUnavailable:
            self._breakers.pop(out.provider, None)
            return error
        return out

    async def pause(self, error: ProviderOut) -> None:
        """Stops the provider for everybody. Raises: StoreUnavailable."""
        kind = _KIND[error.kind]
        probe_ms = self._now_ms() + self._probe_ms if kind == "outage" else 0
        news = await self._switches.pause_provider(
            error.provider, kind, str(error), until_ms=error.until_ms or 0, probe_ms=probe_ms
        )
        if news:
            self._report(Event.PROVIDER_PAUSED, provider=error.provider, kind=kind, reason=str(error))

    def tells(self, claim: Claim) -> bool:
        """Whether it matters to anybody that this job's providers answered: in good times nearly never."""
        return claim.probe or bool(self._breakers)

    async def answered(self, claim: Claim, *, looked_up: bool) -> None:
        """The providers of this job work: their failures in a row are over. Raises: StoreUnavailable."""
        await self._work(claim, [_ghl(claim), *([SELLER] if looked_up else [])])

    async def _work(self, claim: Claim, names: Sequence[str]) -> None:
        """These providers gave this job an answer of theirs, be it a refusal."""
        for name in names:
            if (breaker := self._breakers.get(name)) is not None:
                breaker.succeeded()
        if claim.probe:
            for name in await self._out(names):
                await self.resume(name, why="the probe went through")

    async def _out(self, names: Sequence[str]) -> list[str]:
        """Those that are paused after an outage: a probe tries out no other pause."""
        paused = await self._switches.all() if names else {}
        return [name for name in names if name in paused and paused[name].kind == "outage"]

    async def look_again(self, check: Callable[[str], Awaitable[None]]) -> None:
        """Tries providers whose key or certificate was refused: `check` makes one free call to the one named.

        Credit, budget and what a person paused are not tried: a paid call would be the only proof.
        Raises: StoreUnavailable.
        """
        for name, pause in (await self._switches.all()).items():
            if name and pause.kind in ("auth", "certificate"):
                try:
                    await check(name)
                except Trouble as error:
                    log.debug("still_paused", provider=name, error=str(error))
                else:
                    await self.resume(name, why="it answers again")

    async def resume(self, provider: str, *, why: str) -> None:
        """Raises: StoreUnavailable."""
        if (breaker := self._breakers.get(provider)) is not None:
            breaker.succeeded()
        if await self._switches.resume_provider(provider, why=why):
            self._report(Event.PROVIDER_RESUMED, provider=provider, why=why)


def _ghl(claim: Claim) -> str:
    return f"ghl:{claim.location_id}"


def _who_answered(error: Exception, claim: Claim, looked_up: bool) -> list[str]:
    """Who is proven to work although the run failed: else a probe that meets a house nobody knows proves nothing."""
    names = set()
    if looked_up and not (isinstance(error, Trouble) and error.provider == SELLER):
        names.add(SELLER)
    if isinstance(error, Permanent):
        if error.provider:
            names.add(error.provider)
        if error.outcome is not None:
            names.add(_ghl(claim))  # the contact showed the outcome before it was raised
    return sorted(names)
