"""Drain and enqueue: jobs put in before, then the worker half started on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

from bench import peers
from bench.samples import OURS, Measure, Phase, Sample
from bench.server import BenchRedis, a_redis
from bench.stage import Stage

JOBS, QUICK_JOBS = 60_000, 20_000  # more than retention keeps, so that it has work


def drain(stage: Stage, concurrency: int) -> Sample:
    """From the first start, which the handler notes, to the last finish, which Redis notes."""
    jobs = QUICK_JOBS if stage.quick else JOBS
    with a_redis() as redis:
        sample = _enqueue(stage, redis, jobs)
        before = redis.counted()
        with stage.daemon(redis, only="worker", noop="first", worker={"concurrency": concurrency}) as daemon:
            redis.until_ended(jobs)
            after, cpu_s = redis.counted(), daemon.cpu_s()
            first = json.loads(daemon.notes.read_text())
        return sample | {
            "jobs_per_s": jobs / (redis.last_finish_s() - first["first_s"]),
            "worker_us": 1e6 * (cpu_s - first["cpu_s"]) / jobs,
            "redis_us": 1e6 * (after.cpu_s - before.cpu_s) / jobs,
            "commands": (after.commands - before.commands) / jobs,
            "reads": (after.reads - before.reads) / jobs,
        }


def enqueue(stage: Stage) -> Sample:
    with a_redis() as redis:
        return _enqueue(stage, redis, QUICK_JOBS if stage.quick else JOBS)


def _enqueue(stage: Stage, redis: BenchRedis, jobs: int) -> Sample:
    before = redis.counted()
    told = stage.enqueue(redis, jobs)
    after = redis.counted()
    return {
        "leads_per_s": told["per_s"],
        "enqueuer_us": told["cpu_us"],
        "enqueue_redis_us": 1e6 * (after.cpu_s - before.cpu_s) / jobs,
    }


_ENQUEUE_UNITS = {
    "leads_per_s": "enqueued a second, 50 in flight",
    "enqueuer_us": "enqueuer's CPU, µs a lead",
    "enqueue_redis_us": "Redis CPU, µs a lead",
}
_DRAIN_UNITS = {
    "jobs_per_s": "jobs/s",
    "worker_us": "worker CPU, µs a job",
    "redis_us": "Redis CPU, µs a job",
    "commands": "Redis commands a job, those in scripts too",
    "reads": "socket reads of Redis a job",
    **_ENQUEUE_UNITS,
    "waiting_bytes": "Redis bytes a waiting job",
    "finished_bytes": "Redis bytes a finished job",
}


def _drained_at(concurrency: int, stage: Stage) -> Mapping[str, Measure]:
    return {OURS: partial(drain, stage, concurrency), **peers.drains(stage, concurrency)}


PHASES = (
    Phase("drain-5", "Drain, concurrency 5", _DRAIN_UNITS, partial(_drained_at, 5)),
    Phase("drain-100", "Drain, concurrency 100", _DRAIN_UNITS, partial(_drained_at, 100)),
    Phase("enqueue", "Enqueue alone", _ENQUEUE_UNITS, lambda stage: {OURS: partial(enqueue, stage)}),
)
