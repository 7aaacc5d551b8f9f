"""Metrics: named as Prometheus wants, and without a label that tells who."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from leadenrich.core.job import Event, JobState, Lane, Outcome, Reason
from leadenrich.telemetry.metrics import Metrics, QueueDepth, provider_label, status_label


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(process=False)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def test_every_event_has_a_series_before_it_happens(metrics: Metrics) -> None:
    for event in Event:
        at_first = None if event is Event.REMOVED else 0  # nobody would count it
        assert value(metrics, "leadenrich_events_total", event=event.value) == at_first
    metrics.event(Event.FAILED)
    assert value(metrics, "leadenrich_events_total", event="failed") == 1


def test_a_location_is_never_a_label(metrics: Metrics) -> None:
    assert provider_label("ghl:ve9EPM428h8vShlRW1KT") == "ghl"
    assert provider_label("realestateapi") == "realestateapi"
    assert provider_label("ve9EPM428h8vShlRW1KT") == "other"
    metrics.provider_call("ghl:ve9EPM428h8vShlRW1KT", "update_contact", 200, 0.2, 0.1)
    metrics.provider_call("ghl:another", "update_contact", 201, 0.2, 0.1)
    metrics.provider_call("realestateapi", "property_detail", None, 15, None)
    assert "ve9EPM" not in metrics.render().decode()
    labels = {"provider": "ghl", "endpoint": "update_contact", "status": "2xx"}
    assert value(metrics, "leadenrich_provider_calls_total", **labels) == 2
    assert value(metrics, "leadenrich_limiter_wait_seconds_count", provider="ghl") == 2
    assert value(metrics, "leadenrich_limiter_wait_seconds_count", provider="realestateapi") == 0
    labels = {"provider": "realestateapi", "endpoint": "property_detail"}
    assert value(metrics, "leadenrich_provider_call_seconds_sum", **labels) == 15


@pytest.mark.parametrize(
    ("status", "label"),
    [(200, "2xx"), (204, "2xx"), (302, "3xx"), (400, "4xx"), (422, "4xx"), (401, "401"), (402, "402"), (429, "429"),
     (500, "5xx"), (503, "5xx"), (None, "none")],
)  # fmt: skip
def test_a_status_is_told_by_its_class_where_it_means_no_more(status: int | None, label: str) -> None:
    assert status_label(status) == label


def test_a_script_is_timed_by_its_verb(metrics: Metrics) -> None:
    for seconds in (0.001, 0.002):
        metrics.script("claim", seconds)
    assert value(metrics, "leadenrich_redis_seconds_count", verb="claim") == 2


def test_answers_and_ends_are_counted(metrics: Metrics) -> None:
    metrics.answer("/webhooks/ghl", 202, 0.001)
    metrics.answer("/readyz", 200, 0.001)  # brings no lead
    metrics.outcome(Outcome.QUALIFIED)
    metrics.outcome(None)
    assert value(metrics, "leadenrich_webhooks_total", route="/webhooks/ghl", status="202") == 1
    assert value(metrics, "leadenrich_outcomes_total", outcome="none") == 1


def test_the_queues_depth_is_asked_at_each_scrape(metrics: Metrics) -> None:
    depth: list[QueueDepth | None] = [None]
    metrics.watch_queue(lambda: depth[0])
    assert value(metrics, "leadenrich_jobs", lane="live", state="QUEUED") is None  # unknown is not zero
    depth[0] = QueueDepth(
        {(Lane.LIVE, JobState.QUEUED): 3}, {Lane.LIVE: 12.5}, paused=True, providers_paused={"ghl": 2},
        credits_today=7, credits_limit=10, unknown_purchases=2, failures={Reason.STALLED: 1},
    )  # fmt: skip
    assert value(metrics, "leadenrich_jobs", lane="live", state="QUEUED") == 3
    assert value(metrics, "leadenrich_jobs", lane="bulk", state="FAILED_FINAL") == 0
    assert value(metrics, "leadenrich_oldest_waiting_seconds", lane="live") == 12.5
    assert value(metrics, "leadenrich_oldest_waiting_seconds", lane="bulk") == 0
    assert value(metrics, "leadenrich_daily_credits_used") == 7
    assert value(metrics, "leadenrich_daily_credits_limit") == 10
    assert value(metrics, "leadenrich_unknown_purchases_total") == 2
    assert value(metrics, "leadenrich_failures_total", reason="stalled") == 1
    assert value(metrics, "leadenrich_failures_total", reason="cancelled") == 0
    assert value(metrics, "leadenrich_queue_paused") == 1
    assert value(metrics, "leadenrich_providers_paused", provider="ghl") == 2


async def test_the_loops_tasks_are_counted_at_each_scrape(metrics: Metrics) -> None:
    metrics.watch_tasks(lambda: len(asyncio.all_tasks()))
    before, over = value(metrics, "leadenrich_asyncio_tasks"), asyncio.Event()
    task = asyncio.create_task(over.wait())
    assert before is not None
    assert value(metrics, "leadenrich_asyncio_tasks") == before + 1
    over.set()
    await task
    assert value(metrics, "leadenrich_asyncio_tasks") == before


def test_names_follow_prometheus(metrics: Metrics) -> None:
    """Our prefix, base units last, a sentence each; no label is known to hold an id."""
    metrics.watch_queue(QueueDepth)
    for family in metrics.registry.collect():
        assert re.fullmatch(r"leadenrich_[a-z]+(_[a-z]+)*", family.name)
        assert not re.search(r"(milliseconds|_ms|_total|minutes)$", family.name)
        assert family.documentation.endswith(".") or family.name == "leadenrich_build_info", family.name
        for sample in family.samples:
            assert sample.labels.keys() <= {
                "event", "outcome", "route", "status", "provider", "endpoint", "lane", "state", "verb", "version", "le",
                "reason", "result",
            }  # fmt: skip


def test_promtool_finds_no_fault(metrics: Metrics) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on the PATH: apt-get install prometheus")
    metrics.watch_queue(QueueDepth)
    metrics.watch_spool(lambda: 0, lambda: 0, limit=1)
    metrics.watch_tasks(lambda: 0)
    metrics.provider_call("ghl:x", "contacts/{id}", 200, 0.1, 0.0)
    judged = subprocess.run([promtool, "check", "metrics"], input=metrics.render(), capture_output=True, check=False)
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, b"", b"")


def test_two_in_one_process_do_not_meet(metrics: Metrics) -> None:
    other = Metrics(process=False)
    other.event(Event.QUEUED)
    assert value(metrics, "leadenrich_events_total", event="queued") == 0


def test_the_process_shows_its_own_use() -> None:
    assert b"process_resident_memory_bytes" in Metrics().render()
