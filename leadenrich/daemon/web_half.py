"""The web half, wired to the store and, where there is one, to the spool."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web
from msgspec.structs import replace

from leadenrich.config import Config, split_listen
from leadenrich.daemon.reporter import Reporter
from leadenrich.providers.ghl import provider_name
from leadenrich.store.audit import Audit
from leadenrich.store.connection import Connection
from leadenrich.store.feed import Feed
from leadenrich.store.history import History
from leadenrich.store.intake import SpoolingIntake
from leadenrich.store.interventions import Controls, Interventions
from leadenrich.store.job_list import JobList
from leadenrich.store.queue import Queue, Receipt, Submission
from leadenrich.store.records import BoughtRecords
from leadenrich.store.search import Search
from leadenrich.store.spool import open_spool
from leadenrich.store.spool_file import SPOOL_BYTES_MAX, SpoolRefused
from leadenrich.store.switches import Switches
from leadenrich.store.views import Views
from leadenrich.telemetry.health import HalfReport, Health, HealthReport
from leadenrich.telemetry.metrics import Metrics
from leadenrich.web.app import WebParts, create_app, create_probe_app, reconfigure
from leadenrich.web.in_force import InForce, Sources
from leadenrich.web.ports import Finding, Operations
from leadenrich.web.server import CannotListen, WebServer

log = structlog.get_logger("leadenrich.daemon")


@dataclass(frozen=True, slots=True)
class WebHalf:
    """The server and where it listens."""

    server: WebServer
    url: str
    app: web.Application
    budgets: dict[str, int]
    rates: dict[str, float]  # calls a second by provider: who can be shown and paused
    in_force: InForce

    def reconfigure(self, config: Config) -> None:
        """Raises: ValueError, and then nothing was changed."""
        reconfigure(self.app, config.server, config.ghl, config.queue)
        self.in_force.configure(config)
        self.budgets.update(_budgets(config))
        self.rates.clear()
        self.rates.update(_rates(config))


def through_spool(intake: SpoolingIntake, told: HealthReport) -> HealthReport:
    """What /readyz shows with a spool: Redis may be away while the disk takes leads."""
    waiting = intake.leads
    if waiting:
        note = f"spooling: {waiting} lead waits" if waiting == 1 else f"spooling: {waiting} leads wait"
        told = replace(told, notes={**told.notes, "spool": note})
    if told.web is None:
        return told
    problems = dict(told.web.problems)
    away = problems.pop("store", None)
    if intake.refuses and (away or waiting):
        problems |= {"spool": intake.refuses} | ({"store": away} if away else {})
    return replace(told, web=HalfReport(ready=not problems, problems=problems))


def _rates(config: Config) -> dict[str, float]:
    places = {provider_name(location.id): config.ghl.requests_per_10s / 10 for location in config.ghl.locations}
    return {"realestateapi": config.realestateapi.rate_per_second, **places}


def _locations(rates: Iterable[str]) -> list[str]:
    return [name.partition(":")[2] for name in rates if name.startswith("ghl:")]


def _budgets(config: Config) -> dict[str, int]:
    return {"realestateapi": config.realestateapi.daily_credits}


@asynccontextmanager
async def open_web(
    config: Config,
    connection: Connection,
    queue: Queue,
    sources: Sources,
    held: Sequence[socket.socket] = (),
    *,
    metrics: Metrics,
    health: Health,
    report: Reporter,
) -> AsyncIterator[WebHalf]:
    """`sources` tells where each setting is from; `held` are listened on instead of `server.host` and `server.port`.

    Raises: CannotListen, also when the spool cannot be used.
    """
    rates, budgets = _rates(config), _budgets(config)
    in_force = InForce(config, sources, BoughtRecords(connection))
    async with AsyncExitStack() as stack:
        intake: Queue | SpoolingIntake = queue
        if config.server.spool and connection.embedded:
            log.warning(
                "spool_ignored", note="the embedded Redis is never away, and nothing of it outlives the process"
            )
        elif config.server.spool:
            intake = await stack.enter_async_context(_open_intake(Path(config.server.spool), queue, metrics, report))
            health.seen_through(partial(through_spool, intake))
        audit = Audit(connection, queue.keys)
        operations = Operations(
            Interventions(queue, JobList(connection, queue.keys), audit),
            Controls(Switches(connection, queue.keys), audit, rates),
            audit,
        )
        app = create_app(
            WebParts(
                server=config.server,
                ghl=config.ghl,
                queue=config.queue,
                intake=intake,
                views=Views(connection, queue.keys, rates=rates),
                operations=operations,
                finding=Finding(
                    History(connection, queue.keys),
                    Search(connection, queue.keys, locations=lambda: _locations(rates)),
                    budgets,
                    in_force,
                ),
                feed=Feed(connection, queue.keys),
                health=health,
                render_metrics=metrics.render,
                on_receipt=lambda submission, receipt: _tell(report, submission, receipt),
                on_answer=metrics.answer,
            )
        )
        server = await stack.enter_async_context(
            WebServer(app, host=config.server.host, port=config.server.port, held=held)
        )
        yield WebHalf(server, server.url, app, budgets, rates, in_force)


@asynccontextmanager
async def _open_intake(path: Path, queue: Queue, metrics: Metrics, report: Reporter) -> AsyncIterator[SpoolingIntake]:
    """Raises: CannotListen: a web half that could not keep its word must not take leads."""
    try:
        async with open_spool(path) as spool:
            intake = SpoolingIntake(queue, spool, on_handed_on=lambda lead, receipt: _tell_late(report, lead, receipt))
            metrics.watch_spool(lambda: spool.leads, lambda: spool.bytes, limit=SPOOL_BYTES_MAX)
            # Not in a TaskGroup, which would wrap what ends the daemon: CannotListen has its own exit status.
            drain = asyncio.create_task(intake.drain(), name="spool")
            try:
                yield intake
            finally:
                drain.cancel()
                await asyncio.wait([drain])
    except SpoolRefused as error:
        raise CannotListen(f"server.spool: {error}") from error


def _tell(report: Reporter, submission: Submission | None, receipt: Receipt) -> None:
    """`queued` is told when Redis has the lead, for it counts jobs."""
    if submission is None or receipt.verb != "queued" or not receipt.spooled:
        report.receipt(submission, receipt)
        return
    lead = submission.lead
    log.info("spooled", job_id=receipt.job_id, contact_id=lead.contact_id, location_id=lead.location_id,
             lane=submission.lane.value)  # fmt: skip


def _tell_late(report: Reporter, submission: Submission, receipt: Receipt) -> None:
    report.receipt(submission, receipt)
    if receipt.job_id != submission.job_id:  # the id that was answered leads nowhere: this line leads on
        log.info("spooled_lead_is_no_job", answered=submission.job_id, became=receipt.verb, job_id=receipt.job_id)


@asynccontextmanager
async def open_probe(
    config: Config, held: Sequence[socket.socket] = (), *, metrics: Metrics, health: Health
) -> AsyncIterator[WebServer]:
    """/healthz, /readyz and /metrics of a worker half, on `held` or `worker.listen`. Raises: CannotListen."""
    host, port = split_listen(config.worker.listen) if config.worker.listen else ("", 0)
    app = create_probe_app(config.server, health, metrics.render)
    async with WebServer(app, host=host, port=port, held=held) as server:
        yield server
