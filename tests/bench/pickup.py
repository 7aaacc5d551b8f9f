"""Pickup: from just before a lead is handed in until its job's handler starts, on an idle daemon and on a busy one."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from bench import peers
from bench.daemon import TOKEN, Daemon
from bench.process import until
from bench.samples import OURS, Measure, Phase, Sample, percentile
from bench.server import PREFIX, a_redis
from bench.stage import Stage
from bench.webhooks import contact_id, workflow_form

CALLS, QUICK_CALLS = 200, 60
GAP_S = 0.05
WARM_UP = 1  # a first lead, not counted
BULK, STILL_WAITING = 40_000, 10_000
BEHIND = f"{OURS}, behind {STILL_WAITING:,} bulk leads"
SLOTS = 100  # all held by bulk leads; in mode `turns` one comes free every millisecond


def _waits(daemon: Daemon, calls: list[tuple[str, int]]) -> Sample:
    """`calls` are contacts and when their leads were handed in, ns."""
    wanted = dict(calls)
    until(lambda: wanted.keys() <= dict(daemon.starts()).keys(), "every lead's job started")
    waits = [(at - wanted[contact]) / 1e6 for contact, at in daemon.starts() if contact in wanted]
    return {"p50_ms": percentile(waits, 0.5), "p99_ms": percentile(waits, 0.99)}


def idle_by_enqueue(stage: Stage) -> Sample:
    """As the peers': handed in by another process on the same core, the queue's own way."""
    calls = QUICK_CALLS if stage.quick else CALLS
    with a_redis() as redis, stage.daemon(redis, only="worker", noop="starts") as daemon:
        daemon.ready()
        stage.enqueue(redis, WARM_UP)
        told = stage.enqueue(redis, calls, first=WARM_UP, in_flight=1, gap_ms=GAP_S * 1000)
        return _waits(daemon, [(contact, before) for contact, before, _ in told["calls"]])


def idle_by_webhook(stage: Stage) -> Sample:
    """The whole daemon, by HTTP: both halves in one process."""
    calls = QUICK_CALLS if stage.quick else CALLS
    with a_redis() as redis, stage.daemon(redis, noop="starts") as daemon:
        return _waits(daemon.ready(), _post(daemon, range(WARM_UP + calls))[WARM_UP:])


def _post(daemon: Daemon, numbers: range) -> list[tuple[str, int]]:
    headers = {"Content-Type": "application/json", "X-Webhook-Token": TOKEN}
    link = http.client.HTTPConnection(urlsplit(daemon.url).netloc)
    calls = []
    for number in numbers:
        calls.append((contact_id(number), time.time_ns()))
        link.request("POST", "/webhooks/ghl/workflow", workflow_form(number), headers)
        with link.getresponse() as answer:
            answer.read()
            if answer.status != 202:
                raise RuntimeError(f"answered {answer.status}")
        time.sleep(GAP_S)
    link.close()
    return calls


def behind_bulk(stage: Stage) -> Sample:
    """Live leads while bulk leads wait and hold every slot. One comes free each millisecond, so a slot exists."""
    calls = QUICK_CALLS if stage.quick else CALLS
    with a_redis() as redis:
        stage.enqueue(redis, BULK, lane="bulk")
        with stage.daemon(redis, only="worker", noop="turns", worker={"concurrency": SLOTS}) as daemon:
            daemon.ready()
            until(lambda: len(daemon.starts()) > 2 * SLOTS, "the slots took turns")
            told = stage.enqueue(redis, calls, first=BULK, in_flight=1, gap_ms=GAP_S * 1000)
            sample = _waits(daemon, [(contact, before) for contact, before, _ in told["calls"]])
        left = redis.client.llen(f"{PREFIX}wait:bulk")
        if left < STILL_WAITING:
            raise RuntimeError(f"only {left} bulk leads still waited")
        return sample


def _subjects(stage: Stage) -> Mapping[str, Measure]:
    return {
        OURS: partial(idle_by_enqueue, stage),
        f"{OURS}, by webhook": partial(idle_by_webhook, stage),
        BEHIND: partial(behind_bulk, stage),
        **peers.pickups(stage),
    }


PHASES = (Phase("pickup", "Pickup, until the handler starts", {"p50_ms": "p50, ms", "p99_ms": "p99, ms"}, _subjects),)
