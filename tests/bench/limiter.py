"""The pace, counted where a job starts: never more than its rate in any second, across a restart too."""

from __future__ import annotations

import signal
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bench import peers
from bench.daemon import Daemon
from bench.process import until
from bench.samples import OURS, Measure, Phase, Sample
from bench.server import a_redis
from bench.stage import Stage

SECONDS, QUICK_SECONDS = 12, 5
SECOND_NS = 1_000_000_000


def paced(stage: Stage, rate: int) -> Sample:
    jobs = rate * _seconds(stage)
    with a_redis() as redis:
        stage.enqueue(redis, jobs)
        with stage.daemon(redis, only="worker", noop="paced", worker=_worker(rate)) as daemon:
            redis.until_ended(jobs)
            times = [at for _, at in daemon.starts()]
    return {"most_in_1s": most_in_a_second(times), "share": share_used(times, rate)}


def restarted(stage: Stage, rate: int, number: signal.Signals) -> Sample:
    """Ended in the middle and started again at once; a kill's jobs start twice, and each start counts."""
    jobs = rate * _seconds(stage)
    with a_redis() as redis:
        stage.enqueue(redis, jobs)
        config, port = stage.config(redis, only="worker", worker=_worker(rate))
        with Daemon(config, port, only="worker", noop="paced") as first:
            until(lambda: len(first.starts()) >= jobs / 2, "half of the jobs started", within_s=60)
            first.end(number)
        with Daemon(config, port, only="worker", noop="paced") as second:
            redis.until_ended(jobs)
            return {"most_in_1s": most_in_a_second([at for _, at in second.starts()])}


def most_in_a_second(times_ns: Sequence[int]) -> int:
    """The most starts in any window of 1.000 s, wherever it begins."""
    ordered = sorted(times_ns)
    return max(bisect_left(ordered, at + SECOND_NS) - index for index, at in enumerate(ordered))


def share_used(times_ns: Sequence[int], rate: int) -> float:
    """Of the rate, after the first second: that one may begin with a burst or not."""
    begin, end = min(times_ns) + SECOND_NS, max(times_ns)
    return sum(begin <= at < end for at in times_ns) / rate / ((end - begin) / SECOND_NS)


def _worker(rate: int) -> dict[str, Any]:
    return {"rate_per_second": rate, "concurrency": max(5, rate // 5)}


def _seconds(stage: Stage) -> int:
    return QUICK_SECONDS if stage.quick else SECONDS


def _subjects(rate: int, stage: Stage) -> Mapping[str, Measure]:
    return {
        OURS: partial(paced, stage, rate),
        f"{OURS}, SIGTERM between": partial(restarted, stage, rate, signal.SIGTERM),
        f"{OURS}, kill -9 between": partial(restarted, stage, rate, signal.SIGKILL),
        **(peers.limits(stage) if rate == peers.LIMIT else {}),
    }


_UNITS = {"most_in_1s": "most starts in any 1.000 s", "share": "of the rate used"}
PHASES = (
    Phase("limiter-5", "Limiter, 5 in 1000 ms", _UNITS, partial(_subjects, 5), 1),
    Phase("limiter-500", "Limiter, 500 in 1000 ms", _UNITS, partial(_subjects, 500), 1),
)
