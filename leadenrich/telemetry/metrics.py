"""Every metric: name, unit, labels with their values, sentence. No label tells a lead, a contact or a location."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from leadenrich import __version__
from leadenrich.core.job import Event, JobState, Lane, Outcome, Reason

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

ProviderLabel: TypeAlias = Literal["realestateapi", "ghl", "other"]
LEAD_ROUTES: Final = ("/webhooks/ghl", "/webhooks/ghl/workflow", "/api/v1/leads")

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter, which nothing of ours reads

_CALL_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
_WAIT_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_SHORT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5)
_STATUS_OF_ITS_OWN: Final = frozenset({401, 402, 403, 404, 429})
_BATCH_JOBS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What Redis knows of the queue, of all its daemons together. A lane where nothing waits has no age."""

    jobs: Mapping[tuple[Lane, JobState], int] = field(default_factory=dict)
    oldest_waiting_seconds: Mapping[Lane, float] = field(default_factory=dict)
    paused: bool = False
    providers_paused: Mapping[str, int] = field(default_factory=dict)  # by provider's label: how many of it
    credits_today: int = 0
    credits_limit: int = 0  # a day; 0: none
    unknown_purchases: int = 0  # since the queue began
    failures: Mapping[Reason, int] = field(default_factory=dict)  # since the queue began


def status_label(status: int | None) -> str:
    """HTTP's class, `2xx`; the number where it has a meaning of its own; `none` where no answer came."""
    if status is None:
        return "none"
    return str(status) if status in _STATUS_OF_ITS_OWN else f"{status // 100}xx"


def provider_label(provider: str) -> ProviderLabel:
    """`realestateapi`, or `ghl` for `ghl:<location id>`: a location is never a label."""
    kind = provider.partition(":")[0]
    return kind if kind in ("realestateapi", "ghl") else "other"  # type: ignore[return-value]


class Metrics:
    """The metrics of one process, in a registry of their own: two in one process (tests, demo) do not meet."""

    def __init__(self, *, process: bool = True) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=True)

        def counter(name: str, sentence: str, labels: Iterable[str] = ()) -> Counter:
            return Counter(f"leadenrich_{name}", sentence, tuple(labels), registry=registry)

        def histogram(name: str, sentence: str, buckets: tuple[float, ...], labels: Iterable[str] = ()) -> Histogram:
            return Histogram(f"leadenrich_{name}", sentence, tuple(labels), buckets=buckets, registry=registry)

        self.events = counter("events_total", "What happened to jobs, by the names of the log.", ["event"])
        self.outcomes = counter(
            "outcomes_total", "Leads by their fate; none where a job failed without one.", ["outcome"]
        )
        self.webhooks = counter("webhooks_total", "Answers to those who bring leads.", ["route", "status"])
        self.webhook_seconds = histogram("webhook_seconds", "Time to answer one of them.", _SHORT_SECONDS, ["route"])
        self.provider_calls = counter(
            "provider_calls_total",
            "Calls to the vendors; status is HTTP's class, its number where that means more, none without an answer.",
            ["provider", "endpoint", "status"],
        )
        self.provider_call_seconds = histogram(
            "provider_call_seconds", "How long a vendor took.", _CALL_SECONDS, ["provider", "endpoint"]
        )
        self.credits = counter("credits_total", "RealEstateAPI credits spent.")
        self.cache_hits = counter(
            "purchases_cached_total", "Records that were answered from the cache, free of charge."
        )
        self.limiter_wait_seconds = histogram(
            "limiter_wait_seconds", "How long a call waited for its provider's limiters.", _WAIT_SECONDS, ["provider"]
        )
        self.job_wait_seconds = histogram(
            "job_wait_seconds", "From a job's creation to its first start.", _WAIT_SECONDS, ["lane"]
        )
        self.job_run_seconds = histogram("job_run_seconds", "How long one try of a job ran.", _WAIT_SECONDS)
        self.redis_seconds = histogram(
            "redis_seconds", "Round trip of a script, by its verb.", _SHORT_SECONDS, ["verb"]
        )
        self.redis_errors = counter("redis_errors_total", "Commands that Redis did not carry out.")
        self.alerts = counter("alerts_total", "Messages to alerts.url: posted, or dropped after all tries.", ["result"])
        self.loop_lag_seconds = histogram(
            "loop_lag_seconds", "How late the event loop woke up a timer: what blocks it shows here.", _SHORT_SECONDS
        )
        self.enqueue_batch_jobs = histogram("enqueue_batch_jobs", "Jobs that travelled to Redis together.", _BATCH_JOBS)
        self.in_flight_jobs = Gauge("leadenrich_in_flight_jobs", "Jobs this process works on.", registry=registry)
        build = Gauge("leadenrich_build_info", "1; the label tells the version.", ["version"], registry=registry)
        build.labels(version=__version__).set(1)
        # Kept, since a look-up by labels costs more than the counting. A series that is absent until it first happens
        # hides its first increase: so all events' are there from the start. Only Redis knows what it removes.
        self._events: dict[Event, Counter] = {
            event: self.events.labels(event=event.value) for event in Event if event is not Event.REMOVED
        }
        self._outcomes: dict[Outcome | None, Counter] = {}
        self._answers: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._waits = {lane: self.job_wait_seconds.labels(lane=lane.value) for lane in Lane}
        self._calls: dict[tuple[str, str, int | None], _Call] = {}
        self._scripts: dict[str, Histogram] = {}
        self._alerts = {result: self.alerts.labels(result=result) for result in ("posted", "dropped")}
        if process:
            ProcessCollector(registry=registry)

    def calls_made(self) -> dict[str, int]:
        """This process' calls so far to each kind of vendor."""
        made: dict[str, int] = {}
        for metric in self.provider_calls.collect():
            for sample in metric.samples:
                name = sample.labels["provider"]
                made[name] = made.get(name, 0) + int(sample.value)
        return made

    def event(self, event: Event) -> None:
        """Count one event of a job's life."""
        self._events[event].inc()

    def outcome(self, outcome: Outcome | None) -> None:
        """Count how one lead ended."""
        counter = self._outcomes.get(outcome)
        if counter is None:
            label = "none" if outcome is None else outcome.value
            counter = self._outcomes[outcome] = self.outcomes.labels(outcome=label)
        counter.inc()

    def alert(self, result: Literal["posted", "dropped"]) -> None:
        """Count one message to people."""
        self._alerts[result].inc()

    def waited(self, lane: Lane, seconds: float) -> None:
        """Note how long a job waited for its first start."""
        self._waits[lane].observe(max(0.0, seconds))

    def answer(self, route: str, status: int, seconds: float) -> None:
        """Count one answer to those who bring leads; no other. `route` is the pattern, never the path as asked."""
        if route not in LEAD_ROUTES:
            return
        kept = self._answers.get((route, status))
        if kept is None:
            kept = self.webhooks.labels(route=route, status=str(status)), self.webhook_seconds.labels(route=route)
            self._answers[route, status] = kept
        kept[0].inc()
        kept[1].observe(seconds)

    def provider_call(
        self, provider: str, endpoint: str, status: int | None, seconds: float, waited_s: float | None
    ) -> None:
        """Count one call. `endpoint` is a name (`PropertyDetail`, `contacts/{id}`), never a path with ids.

        `status` None: no answer came; `waited_s` None: no limiter stood before it.
        """
        call = self._calls.get((provider, endpoint, status))
        if call is None:
            call = self._calls[provider, endpoint, status] = self._call(provider, endpoint, status)
        call.count.inc()
        call.seconds.observe(seconds)
        if waited_s is not None:
            call.waits.observe(waited_s)

    def _call(self, provider: str, endpoint: str, status: int | None) -> _Call:
        label = provider_label(provider)
        return _Call(
            self.provider_calls.labels(provider=label, endpoint=endpoint, status=status_label(status)),
            self.provider_call_seconds.labels(provider=label, endpoint=endpoint),
            self.limiter_wait_seconds.labels(provider=label),
        )

    def script(self, verb: str, seconds: float) -> None:
        """Note the round trip of one script."""
        histogram = self._scripts.get(verb)
        if histogram is None:
            histogram = self._scripts[verb] = self.redis_seconds.labels(verb=verb)
        histogram.observe(seconds)

    def watch_spool(self, leads: Callable[[], float], size: Callable[[], float], *, limit: float) -> None:
        """Show how many leads wait on our own disk, and the size of their file and its bound in bytes."""
        gauge = Gauge("leadenrich_spool_leads", "Leads that wait on our own disk.", registry=self.registry)
        gauge.set_function(leads)
        gauge = Gauge("leadenrich_spool_bytes", "Size of the spool's file.", registry=self.registry)
        gauge.set_function(size)
        gauge = Gauge("leadenrich_spool_limit_bytes", "The spool refuses leads above this.", registry=self.registry)
        gauge.set(limit)

    def watch_tasks(self, tasks: Callable[[], int]) -> None:
        """Show how many tasks the event loop holds, asked at each scrape."""
        sentence = "Tasks of the event loop: as many as before whenever nothing is to do, or one of them leaks."
        Gauge("leadenrich_asyncio_tasks", sentence, registry=self.registry).set_function(tasks)

    def watch_queue(self, depth: Callable[[], QueueDepth | None]) -> None:
        """Show the queue's depth, asked at each scrape. `depth` must not block: it tells what was read last, or None"""
        self.registry.register(_QueueCollector(depth))

    def render(self) -> bytes:
        """All of it in Prometheus' text format, see CONTENT_TYPE."""
        return generate_latest(self.registry)


@dataclass(frozen=True, slots=True)
class _Call:
    """The children that one kind of call counts in."""

    count: Counter
    seconds: Histogram
    waits: Histogram


class _QueueCollector(Collector):
    def __init__(self, depth: Callable[[], QueueDepth | None]) -> None:
        self._depth = depth

    def describe(self) -> Iterator[Metric]:
        """The families without values: registering must not ask for the depth."""
        return iter(_families(QueueDepth()))

    def collect(self) -> Iterator[Metric]:
        depth = self._depth()
        # Unknown is not zero: while Redis is away the series end instead of showing an empty queue.
        return iter(() if depth is None else _families(depth))


def _families(depth: QueueDepth) -> list[Metric]:
    jobs = GaugeMetricFamily("leadenrich_jobs", "Jobs kept, by lane and state.", labels=["lane", "state"])
    for lane in Lane:
        for state in JobState:
            jobs.add_metric([lane.value, state.value], depth.jobs.get((lane, state), 0))
    oldest = GaugeMetricFamily(
        "leadenrich_oldest_waiting_seconds", "Age of the oldest waiting job; 0 where none waits.", labels=["lane"]
    )
    for lane in Lane:
        oldest.add_metric([lane.value], depth.oldest_waiting_seconds.get(lane, 0.0))
    paused = GaugeMetricFamily("leadenrich_queue_paused", "1 while an operator stopped it.", value=float(depth.paused))
    providers = GaugeMetricFamily(
        "leadenrich_providers_paused", "Providers (HighLevel: locations) that are paused.", labels=["provider"]
    )
    for label in ("realestateapi", "ghl"):
        providers.add_metric([label], depth.providers_paused.get(label, 0))
    return [jobs, oldest, paused, providers, *_totals(depth)]


def _totals(depth: QueueDepth) -> list[Metric]:
    failures = CounterMetricFamily(
        "leadenrich_failures", "Leads of all daemons that ended in FAILED_FINAL, by reason.", labels=["reason"]
    )
    for reason in Reason:
        failures.add_metric([reason.value], depth.failures.get(reason, 0))
    return [
        failures,
        GaugeMetricFamily(
            "leadenrich_daily_credits_used", "RealEstateAPI credits since 00:00 UTC.", value=depth.credits_today
        ),
        GaugeMetricFamily(
            "leadenrich_daily_credits_limit", "Credits that a day may use; 0 for no limit.", value=depth.credits_limit
        ),
        CounterMetricFamily(
            "leadenrich_unknown_purchases",
            "Look-ups of all daemons that were cut off: nobody knows whether they were charged.",
            value=depth.unknown_purchases,
        ),
    ]
