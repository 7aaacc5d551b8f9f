"""What a job costs Redis: the difference that many of them make to its memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from bench.samples import OURS, Measure, Phase, Sample
from bench.server import PREFIX, BenchRedis, a_redis
from bench.stage import Stage
from bench.vendors import HOUSES
from bench.webhooks import BODY_BYTES

JOBS: Final = 10_000  # as many as are kept by default
KINDS: Final = {
    "job": "the job: its state, times and outcome",
    "load": "the lead",
    "seen": "what is known of the contact",
    "dedup": "the delivery's mark",
}
LOOKED_AT: Final = 500  # keys of each kind


def noop(stage: Stage) -> Sample:
    with a_redis() as redis:
        waiting, finished = _filled(stage, redis, JOBS, noop="first")
        payloads = list(redis.client.scan_iter(f"{PREFIX}load:*", count=1000))
        return {
            "waiting_bytes": waiting,
            "over_body_bytes": waiting - BODY_BYTES,
            "payload_bytes": sum(map(redis.client.strlen, payloads)) / len(payloads),
            "finished_bytes": finished,
            **{f"{kind}_bytes": _of_kind(redis, kind) for kind in KINDS},
        }


def _of_kind(redis: BenchRedis, kind: str) -> float:
    """Bytes of one job's key of this kind once it has ended, as Redis counts them: its name, value and lifetime."""
    keys = list(redis.client.scan_iter(f"{PREFIX}{kind}:*", count=1000))
    return sum(int(redis.client.memory_usage(key) or 0) for key in keys[:LOOKED_AT]) / min(len(keys), LOOKED_AT)


def enriched(stage: Stage) -> Sample:
    """The real enrichment against the fake vendors: a timeline, and its steps. Without the record that was bought."""
    with a_redis() as redis:
        _, finished = _filled(stage, redis, HOUSES, form="house")
        return {"finished_bytes": finished}


def _filled(stage: Stage, redis: BenchRedis, jobs: int, *, noop: str = "", **options: str) -> tuple[float, float]:
    """Bytes a job, while all of them wait and once all have ended."""
    stage.enqueue(redis, 1, first=10_000_000)  # scripts, and what else is there once
    before = redis.counted().memory
    stage.enqueue(redis, jobs, **options)
    waiting = redis.counted().memory - before
    with stage.daemon(redis, only="worker", noop=noop, worker={"concurrency": 50}) as daemon:
        redis.until_ended(jobs)
        daemon.end()
    others = [key for key in redis.client.scan_iter(count=1000) if not key.startswith(PREFIX.encode())]
    if others:  # bought records, the day's credits, who had an address before: no part of the job
        redis.client.delete(*others)
    ended = redis.count("SUCCEEDED")
    if not jobs <= ended <= jobs + 1:
        raise RuntimeError(f"{ended} of {jobs} jobs are kept")
    return waiting / jobs, (redis.counted().memory - before) / jobs


def _subjects(stage: Stage) -> Mapping[str, Measure]:
    return {OURS: partial(noop, stage), f"{OURS}, enriched": partial(enriched, stage)}


PHASES = (
    Phase(
        "memory",
        "Redis memory a job",
        {
            "waiting_bytes": "waiting, bytes",
            "over_body_bytes": f"over its body of {BODY_BYTES}",
            "payload_bytes": "of which the lead itself, as it is kept",
            "finished_bytes": "finished, bytes",
            **{f"{kind}_bytes": f"of which {told}" for kind, told in KINDS.items()},
        },
        _subjects,
        repetitions=1,
    ),
)
