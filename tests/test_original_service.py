"""What the service before this one promised its users still holds: its worker and queue guide, sentence by sentence."""

from __future__ import annotations

import random
from pathlib import Path

from daemon_process import events_of, inside, look_ups, new_sandbox, people, settings_for
from redis_server import running

from leadenrich.config import Config
from leadenrich.core.retry import RetryPolicy
from leadenrich.sandbox.faults import Fault, Match


def test_the_queue_has_the_name_and_the_defaults_of_the_guide() -> None:
    """`attempts: 3`, `exponential, delay: 30000`, `removeOnComplete: 10000`, `concurrency: 5`, `max: 5 / 1000 ms`."""
    queue, worker = Config().queue, Config().worker
    assert queue.name == "lead-enrichment"
    assert (queue.attempts, queue.backoff_delay, queue.backoff_jitter) == (3, 30.0, 0.0)
    assert (queue.keep_succeeded, queue.keep_failed) == (10_000, 10_000)
    assert (worker.concurrency, worker.rate_per_second, worker.rate_scope) == (5, 5.0, "process")


def test_failed_jobs_are_tried_again_after_30_s_1_min_2_min() -> None:
    settings = Config().queue
    policy = RetryPolicy(settings.attempts, settings.backoff_delay, settings.backoff_jitter)
    assert [policy.delay_after(attempt, random.Random(1)) for attempt in (1, 2, 3)] == [30.0, 60.0, 120.0]


async def test_the_example_life_of_a_job(tmp_path: Path) -> None:
    """Queued, picked, calls to both vendors, SUCCEEDED; a transient error: again; a permanent one: FAILED_FINAL."""
    (tmp_path / "redis").mkdir()
    with running(tmp_path / "redis") as redis:
        async with new_sandbox() as sandbox, inside(sandbox, tmp_path, settings_for(sandbox, redis.url)) as daemon:
            sandbox.faults.add(Fault("server_error"), match=Match(address="101|"))
            good, shaky, lost = people(sandbox, 3)
            lost.details["address1"] = "404 Nowhere Ln"
            ids = [await daemon.tell(contact) for contact in (good, shaky, lost)]
            first, second, third = await daemon.ended(ids)
            assert (first["state"], events_of(first)) == ("SUCCEEDED", ["queued", "started", "completed"])
            assert second["state"] == "SUCCEEDED"
            assert events_of(second) == ["queued", "started", "retrying", "started", "completed"]
            assert (third["state"], events_of(third)) == ("FAILED_FINAL", ["queued", "started", "failed"])
            assert len(look_ups(sandbox)) == 4

            # Each job emits its events into the log; a failure comes with its stack trace.
            [failed] = daemon.said("failed")
            assert failed["job_id"] == third["id"]
            assert "Traceback" in failed["stack"]
            assert {line["job_id"] for line in daemon.said("completed")} == {first["id"], second["id"]}
            members = {"event", "job_id", "contact_id", "location_id", "lane", "attempt"}
            assert all(members <= line.keys() for line in daemon.said("started"))
