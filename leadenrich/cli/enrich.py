"""`leadenrich enrich CONTACT_ID`: one lead in the foreground, or with --dry-run what would become of it.

It is a job like all others, held by this process from its first moment: the page shows it, and a contact that has a
job under way is left to that one. What cannot end with this try waits for a daemon, as after any other try.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from leadenrich.cli.configuration import mapping_of, refuse, rules_of, usable_to_serve
from leadenrich.cli.enrich_told import Teller, ToldSteps
from leadenrich.cli.loop import run_loop
from leadenrich.cli.question import agreed
from leadenrich.cli.status import DONE, FAILED
from leadenrich.cli.store_access import Store, open_store, whoever, with_store
from leadenrich.cli.terminal import WorkGoesOn, console
from leadenrich.config import Config, Fault
from leadenrich.core.errors import Trouble
from leadenrich.core.job import Claim, Event, JobState, Lane, StepRecord
from leadenrich.core.lead import Lead
from leadenrich.core.retry import Complete, RetryPolicy
from leadenrich.daemon.clock import SystemClock, now_ms
from leadenrich.daemon.vendors import Vendors, open_vendors
from leadenrich.daemon.worker_half import run_limit_s
from leadenrich.enrich.known_contact import find_field
from leadenrich.enrich.pipeline import Preview
from leadenrich.providers.ghl import provider_name
from leadenrich.store.foreground import PREFIX, Foreground, UnderWay
from leadenrich.store.queue import Queue
from leadenrich.store.switches import Switches
from leadenrich.telemetry.metrics import Metrics
from leadenrich.worker.maintenance import Heart, every
from leadenrich.worker.outages import Outages
from leadenrich.worker.runner import Runner
from leadenrich.worker.steps import JobSteps

_LOOK_UP: Final = "lookup"


def run(args: argparse.Namespace) -> int:
    """1 when the lead was not enriched, or nobody agreed to pay; 78 for a location that is not configured."""
    config = usable_to_serve(args).config
    if args.sandbox:
        return run_loop(_sandboxed(config, args))
    _location(config, args.location)
    return with_store(args, lambda store: _enrich(store, args))


async def _sandboxed(config: Config, args: argparse.Namespace) -> int:
    """Fake vendors and the embedded Redis: nothing real is reached, and nothing outlives the process."""
    from leadenrich.cli.sandboxed import sandboxed
    from leadenrich.cli.serve import local

    async with sandboxed(local(config)) as (turned, _), open_store(turned) as store:
        return await _enrich(store, args)


def _location(config: Config, wanted: str | None) -> str:
    """The one that is meant; exits with 78 where that is none, or not clear."""
    known = [place.id for place in config.ghl.locations]
    if wanted in known:
        return str(wanted)
    if wanted is None and len(known) == 1:
        return known[0]
    what = f"no location {wanted!r} is configured" if wanted else "several locations are configured: add --location"
    return refuse([Fault("ghl.locations", f"{what}: there are {', '.join(known)}")])


async def _enrich(store: Store, args: argparse.Namespace) -> int:
    config = store.config
    lead = Lead(location_id=_location(config, args.location), contact_id=args.contact, kind="api")
    worker = f"{PREFIX}{whoever()}@{socket.gethostname()}:{time.monotonic_ns()}"
    queue = Queue(store.connection, config.queue, worker=worker)
    if why := await _paused(Switches(store.connection, queue.keys), lead.location_id, dry_run=args.dry_run):
        print(f"leadenrich: {store.clean(why)}", file=sys.stderr)
        return FAILED
    vendors = open_vendors(
        config,
        store.connection,
        queue,
        metrics=Metrics(process=False),
        clock=SystemClock(),
        full_since=time.monotonic(),
        remember=not args.dry_run,
    )
    one = _One(store, queue, vendors, lead, Teller(console(WorkGoesOn), store.clean))
    try:
        return await (one.look(yes=args.yes) if args.dry_run else one.work())
    finally:
        await vendors.close()


async def _paused(switches: Switches, location_id: str, *, dry_run: bool) -> str:
    """Why nothing may be done now, and who ends that; "" when nothing is paused."""
    ways = {name: f"providers resume {name}" for name in ("realestateapi", provider_name(location_id))}
    if not dry_run:
        ways[""] = "queue resume"
    for name, pause in (await switches.all()).items():
        if name in ways and not 0 < pause.until_ms <= now_ms():
            return f"{name or 'the queue'} is paused ({pause.kind}): {pause.reason}; leadenrich {ways[name]} ends it"
    return ""


@dataclass(frozen=True, slots=True)
class _One:
    """One lead and all that is needed for it. It is also the handler that the runner calls."""

    store: Store
    queue: Queue
    vendors: Vendors
    lead: Lead
    teller: Teller

    async def look(self, *, yes: bool) -> int:
        """The dry run. Nothing is written, to HighLevel or of the contact to Redis; a record that is bought is kept."""
        claim = Claim(
            job_id="", token="", lane=Lane.LIVE, location_id=self.lead.location_id, contact_id=self.lead.contact_id,
            attempt=1, max_attempts=1, stalled_count=0, alone=False, probe=False, created_ms=now_ms(), lead=self.lead,
        )  # fmt: skip
        self._asking()
        try:
            try:
                await self._preview(claim, ToldSteps(_Scratch(may_buy=False), self.teller))
            except _NotBought:
                if not agreed("The record of this address is not in the cache: buy it for a credit?", yes=yes):
                    print("Nothing was bought.", file=sys.stderr)
                    return FAILED
                await self._preview(claim, ToldSteps(_Scratch(may_buy=True), self.teller))
        except Trouble as error:
            print(f"leadenrich: {self.store.clean(str(error))}", file=sys.stderr)
            return FAILED
        self.teller.say("dry run", "nothing was written to HighLevel")
        return DONE

    async def work(self) -> int:
        """The lead's job, from its first moment to the end of its first try."""
        config, foreground = self.store.config, Foreground(self.store.connection, self.queue, self.store.config.queue)
        try:
            claim = await foreground.begin(self.lead, now_ms=now_ms())
        except UnderWay as busy:
            print(f"leadenrich: {busy}: leadenrich jobs show {busy.job_id}", file=sys.stderr)
            return FAILED
        self.teller.say("job", claim.job_id)
        self._asking()
        runner = Runner(
            self.queue,
            self,
            Outages(Switches(self.store.connection, self.queue.keys), report=_untold),
            RetryPolicy(config.queue.attempts, config.queue.backoff_delay, config.queue.backoff_jitter),
            limit_s=run_limit_s(config),
            patience_s=config.queue.lease,
            report=_untold,
        )
        try:
            await self._hold(runner, claim)
        except asyncio.CancelledError:
            print(f"leadenrich: job {claim.job_id} is handed back: a daemon goes on with it", file=sys.stderr)
            raise
        finally:
            await foreground.leave()
        return await self._ended(claim.job_id)

    async def _hold(self, runner: Runner, claim: Claim) -> None:
        """Runs the job while the lease is kept alive; who is interrupted hands it back."""
        over = asyncio.Event()
        heart = Heart(self.queue, lambda: [claim], about=socket.gethostname())
        async with asyncio.TaskGroup() as group:
            group.create_task(every(self.store.config.queue.lease / 3, over, heart.beat), name="heart")
            try:
                await runner.run(claim)
            except asyncio.CancelledError:
                await runner.hand_back(claim)
                raise
            finally:
                over.set()

    async def _ended(self, job_id: str) -> int:
        job = await self.store.views.job(job_id)
        if job is None:  # somebody erased it, or it is not kept: queue.keep_succeeded, queue.keep_failed
            print(f"leadenrich: job {job_id} is not kept any more", file=sys.stderr)
            return FAILED
        self.teller.ending(job, await self.store.views.pauses())
        if job.finished_at is None:
            print(f"leadenrich: a daemon goes on with it; or: leadenrich jobs cancel {job_id}", file=sys.stderr)
        return DONE if job.state == JobState.SUCCEEDED else FAILED

    # --- what the runner calls -----------------------------------------------------------------------------------

    async def run(self, claim: Claim, steps: JobSteps) -> Complete:
        """What would change is shown first; the run then finds the record among its own checkpoints."""
        told = ToldSteps(steps, self.teller)
        await self._preview(claim, told)
        return await self.vendors.pipeline.run(claim, told)

    async def leave_failed_mark(self, claim: Claim) -> None:
        await self.vendors.pipeline.leave_failed_mark(claim)

    # --- both ----------------------------------------------------------------------------------------------------

    def _asking(self) -> None:
        self.teller.say("contact", f"{self.lead.contact_id} of {self.lead.location_id}: HighLevel is asked")

    async def _preview(self, claim: Claim, steps: ToldSteps) -> None:
        preview = await self.vendors.pipeline.preview(claim, steps)
        self.teller.preview(
            preview, sum(rule.enabled for rule in rules_of(self.store.config).rules), await self._missing(preview)
        )

    async def _missing(self, preview: Preview) -> Sequence[str]:
        """The fields that would be written and that the location lacks."""
        mapping, decision = mapping_of(self.store.config), preview.decision
        names = {entry.key: entry.name for entry in mapping.entries}
        there = await self.vendors.ghl.custom_fields(self.lead.location_id)
        wanted = mapping.fields(decision.record, decision.verdict, SystemClock().now())
        return [key for key in wanted if find_field(there, key, names[key]) is None]


class _NotBought(Exception):
    """The record is not in the cache, and to buy it was not allowed yet."""


class _Scratch:
    """Checkpoints of nobody's job, kept while it is looked at. Nothing is bought unless it may be."""

    def __init__(self, *, may_buy: bool) -> None:
        self._may_buy = may_buy
        self._known: dict[str, StepRecord] = {}

    def get(self, name: str) -> StepRecord | None:
        return self._known.get(name)

    async def intend(self, name: str) -> None:
        """Raises: _NotBought; the credit that was set aside for it goes back."""
        if name.startswith(_LOOK_UP) and not self._may_buy:
            raise _NotBought

    async def withdraw(self, name: str) -> None:
        self._known.pop(name, None)

    async def record(self, name: str, result: bytes, *, cached: bool = False, credits: int = 0) -> None:
        self._known[name] = StepRecord(name, now_ms(), now_ms(), cached, credits, result)


def _untold(event: Event, claim: Claim | None = None, **more: object) -> None:
    """The job's own words tell it at the end."""
