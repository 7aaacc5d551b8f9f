"""The daemon's life: start, READY, serve, reload, the one way down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TextIO, TypeAlias

import structlog

from leadenrich.alerts.alerting import Alerting
from leadenrich.config import Config, Source, secret_values, without_password
from leadenrich.daemon.activation import take_held
from leadenrich.daemon.clock import SystemClock
from leadenrich.daemon.depth import DepthGauge
from leadenrich.daemon.reporter import Reporter
from leadenrich.daemon.schema_watch import SchemaWatch
from leadenrich.daemon.store_look import StoreLook
from leadenrich.enrich.needs import Clock
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.errors import StoreRefused, StoreUnavailable
from leadenrich.store.queue import Queue
from leadenrich.store.switches import Switches
from leadenrich.store.views import Views
from leadenrich.telemetry.health import Half, Health, watchdog_interval
from leadenrich.telemetry.logs import configure
from leadenrich.telemetry.metrics import Metrics
from leadenrich.web.server import CannotListen
from leadenrich.worker.identity import NameTaken, default_name, hold_name, refuse_rival
from leadenrich.worker.maintenance import every

if TYPE_CHECKING:
    from leadenrich.daemon.web_half import WebHalf
    from leadenrich.daemon.worker_half import WorkerHalf

log = structlog.get_logger("leadenrich.daemon")

STORE_LOOK_S = 60.0
SCHEMA_LOOK_S = 60.0
DEPTH_LOOK_S = 15.0
LAG_LOOK_S = 1.0
# What a terminal or systemd sends to both processes of the one file, the parent hands on as well: that is one signal.
SAME_SIGNAL_S = 0.5 if getattr(sys, "frozen", False) else 0.0

Reload: TypeAlias = Callable[[], Config]


class Reconfigured(Protocol):
    """A part that a reload changes. Raises: ValueError, and then it has changed nothing."""

    def reconfigure(self, config: Config) -> None: ...


class CannotStart(Exception):
    """The daemon cannot start; `status` is the exit status that says so."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    def told(self) -> int:
        """Says it on stderr; the status to exit with."""
        print(f"leadenrich: {self}", file=sys.stderr)
        return self.status


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """`reload` reads the configuration again (SIGHUP); it raises ValueError when that cannot be used.

    `probe_s` lies between two tries of a provider that is out: by one job after an outage, else by a free call.
    """

    only: Literal["web", "worker"] | None = None
    reload: Reload | None = None
    signals: bool = True  # listen to SIGTERM, SIGINT, SIGHUP
    log_stream: TextIO | None = None  # default: stderr
    probe_s: float = 30.0
    alert_look_s: float = 15.0  # between two looks for what somebody should be told
    schema_look_s: float = SCHEMA_LOOK_S
    clock: Clock = field(default_factory=SystemClock)  # what dates and ages in the records are held against
    sources: Callable[[], Mapping[str, Source]] = dict  # where each setting is from, for the page that shows them


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon that is ready, for those who run one inside their own process."""

    url: str | None  # of the web half
    queue: Queue
    connection: Connection
    metrics: Metrics
    health: Health
    worker: WorkerHalf | None
    stop: asyncio.Event


async def serve(config: Config, options: ServeOptions, *, on_ready: Callable[[Running], None] | None = None) -> None:
    """Runs until SIGTERM or SIGINT (or `Running.stop`), then drains and ends.

    Raises: CannotStart; also when the data's schema is raised meanwhile, once it has drained.
    """
    configure(config.log, secrets=secret_values(config), stream=options.log_stream)
    halves: tuple[Half, ...] = (options.only,) if options.only else ("web", "worker")
    try:
        async with AsyncExitStack() as stack:
            name = config.worker.name or default_name(config.server.port)
            if "worker" in halves and not config.redis.url.startswith("fakeredis://"):
                stack.enter_context(hold_name(name, config.redis.url, config.queue.name))
            held = take_held()
            connection = await stack.enter_async_context(open_redis(config.redis))
            await _run(config, options, halves, name, connection, held, on_ready)
    except NameTaken as error:
        raise CannotStart(str(error), 1) from error
    except CannotListen as error:
        raise CannotStart(str(error), 1) from error
    except (StoreUnavailable, StoreRefused) as error:
        raise CannotStart(f"{error} (redis.url is {without_password(config.redis.url)})", 69) from error


async def _run(
    config: Config,
    options: ServeOptions,
    halves: tuple[Half, ...],
    name: str,
    connection: Connection,
    held: tuple[socket.socket, ...],
    on_ready: Callable[[Running], None] | None,
) -> None:
    metrics, health, stop = Metrics(), Health(halves), asyncio.Event()
    queue = _queue(config, connection, name, probe_s=options.probe_s)
    await queue.open()
    if "worker" in halves and not connection.embedded:
        await refuse_rival(queue, lease_s=config.queue.lease)
    report, switches = Reporter(metrics), Switches(connection, queue.keys)
    schema = SchemaWatch(queue, stop)
    store_look = StoreLook(connection, switches, health)
    depth = DepthGauge(Views(connection, queue.keys), config)
    health.look = store_look.refresh
    alerting = Alerting(config, connection, queue.keys, daemon=queue.owner, count=metrics.alert)
    _observe(connection, queue, metrics, store_look, depth)
    async with AsyncExitStack() as stack:
        parts: list[Reconfigured] = []
        if options.signals:
            stack.enter_context(_signals(stop, lambda: _reload(options.reload, parts, health)))
        # First the door: it needs Redis only, and a vendor that hangs holds up the worker.
        web = await _open_door(
            stack, config, options, halves, connection, queue, held, metrics=metrics, health=health, report=report
        )
        worker = None
        if "worker" in halves:
            from leadenrich.daemon.worker_half import open_worker

            worker = await stack.enter_async_context(
                open_worker(
                    config,
                    connection,
                    queue,
                    switches,
                    metrics=metrics,
                    health=health,
                    report=report,
                    clock=options.clock,
                    probe_s=options.probe_s,
                )
            )
        async with asyncio.TaskGroup() as group:
            parts += [part for part in (web, worker, alerting, depth) if part is not None]
            running = Running(web.url if web else None, queue, connection, metrics, health, worker, stop)
            _start_looks(group, store_look, depth, metrics, stop)
            group.create_task(every(options.schema_look_s, stop, schema.look), name="schema")
            looks = group.create_task(every(options.alert_look_s, stop, alerting.look), name="alerts")
            work = group.create_task(worker.run(stop), name="worker") if worker else None
            _start_watchdog(group, health, worker, stop)
            health.ready()
            log.info("ready", url=running.url, halves=list(halves), worker=name if worker else None)
            if on_ready is not None:
                on_ready(running)
            await stop.wait()
            health.stopping()
            looks.cancel()  # a post that gets no answer delays nobody's way down: the next start tells
            await _end(web, work, keep_open=bool(held))
    log.info("stopped")
    if schema.refusal is not None:
        raise schema.refusal


async def _end(web: WebHalf | None, work: asyncio.Task[None] | None, *, keep_open: bool) -> None:
    """The door closes before the last jobs end; one that systemd holds after them: who waits there has nobody else."""
    if web is not None:
        web.server.send_away()
        if not keep_open:
            await web.server.stop()
    if work is not None:
        await work
    if web is not None:
        await web.server.stop()


async def _open_door(
    stack: AsyncExitStack,
    config: Config,
    options: ServeOptions,
    halves: tuple[Half, ...],
    connection: Connection,
    queue: Queue,
    held: tuple[socket.socket, ...],
    *,
    metrics: Metrics,
    health: Health,
    report: Reporter,
) -> WebHalf | None:
    """The web half, or the probes of a worker half alone. Each half loads its own libraries. Raises: CannotListen."""
    if "web" in halves:
        from leadenrich.daemon.web_half import open_web

        return await stack.enter_async_context(
            open_web(config, connection, queue, options.sources, held, metrics=metrics, health=health, report=report)
        )
    if held or config.worker.listen:
        from leadenrich.daemon.web_half import open_probe

        await stack.enter_async_context(open_probe(config, held, metrics=metrics, health=health))
    return None


def _queue(config: Config, connection: Connection, name: str, *, probe_s: float) -> Queue:
    return Queue(
        connection,
        config.queue,
        worker=name,
        trigger_tags=config.ghl.trigger_tags,
        enrich_unknown_updates=config.ghl.enrich_unknown_updates,
        probe_ms=round(probe_s * 1000),
    )


def _observe(connection: Connection, queue: Queue, metrics: Metrics, store_look: StoreLook, depth: DepthGauge) -> None:
    def on_error() -> None:
        metrics.redis_errors.inc()
        store_look.doubt()

    connection.on_script = metrics.script
    connection.on_error = on_error
    queue.on_batch = metrics.enqueue_batch_jobs.observe
    metrics.watch_queue(depth.shown)
    metrics.watch_tasks(lambda: len(asyncio.all_tasks()))


def _start_looks(
    group: asyncio.TaskGroup, store_look: StoreLook, depth: DepthGauge, metrics: Metrics, stop: asyncio.Event
) -> None:
    group.create_task(every(STORE_LOOK_S, stop, store_look.look), name="store-look")
    group.create_task(every(DEPTH_LOOK_S, stop, depth.refresh), name="depth")
    group.create_task(_measure_lag(metrics, stop), name="lag")


async def _measure_lag(metrics: Metrics, stop: asyncio.Event) -> None:
    """How late the loop is: what blocks it shows here."""
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        due = loop.time() + LAG_LOOK_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await stop.wait()
        metrics.loop_lag_seconds.observe(max(0.0, loop.time() - due))


def _start_watchdog(group: asyncio.TaskGroup, health: Health, worker: WorkerHalf | None, stop: asyncio.Event) -> None:
    interval = watchdog_interval()
    if interval is None:
        return

    async def ping() -> None:
        # Sent from the loop itself, and only while the pool's own loop still answers: a blocked one gets none.
        if worker is None or worker.pool.alive:
            health.watchdog()

    group.create_task(every(interval, stop, ping), name="watchdog")


@contextlib.contextmanager
def _signals(stop: asyncio.Event, reload: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    asked_at: dict[str, float] = {}

    def end(name: str) -> None:
        if stop.is_set():
            if loop.time() - asked_at.get(name, -SAME_SIGNAL_S) < SAME_SIGNAL_S:
                return
            log.warning("forced", signal=name, note="ending at once; what is in flight is taken over at the next start")
            os._exit(1)
        log.info("ending", signal=name)
        asked_at[name] = loop.time()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, end, "SIGTERM")
    loop.add_signal_handler(signal.SIGINT, end, "SIGINT")
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _reload(read: Reload | None, parts: Sequence[Reconfigured], health: Health) -> None:
    """All or nothing: a configuration that cannot be used changes nothing, and the log says why."""
    if not parts:
        log.warning("reload_refused", note="the start is not over: it takes the file as it was; reload again")
        return
    if read is None:
        log.warning("reload_refused", note="a daemon with fake vendors keeps its configuration: restart it")
        return
    health.reloading()
    status = "reloaded"
    try:
        config = read()
        for part in parts:
            part.reconfigure(config)
    except ValueError as error:
        log.error("reload_refused", error=str(error), note="the old configuration stays in force")
        status = "reload refused, the old configuration stays in force: the log says why"
    else:
        configure(config.log, secrets=secret_values(config))
        log.info(
            "reloaded",
            note="in force: keys, tokens, locations, provider rates, mapping, rules, dedup of the doors, alerts, log; "
            "addresses, Redis, queue, worker slots and rate_scope change at the next start",
        )
    health.ready(status)
