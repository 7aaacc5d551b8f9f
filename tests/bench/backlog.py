"""A million waiting jobs against a thousand: the time of each operation, on both in turn."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Final

from bench.process import Process
from bench.samples import OURS, Measure, Phase, Sample, medians
from bench.server import BenchRedis, a_redis
from bench.stage import Stage

FEW, MANY, QUICK_MANY = 1_000, 1_000_000, 50_000
BYTES_A_JOB = 2_500  # with room for what Redis needs besides
TURNS: Final = 5
OPERATIONS: Final = {
    "enqueue_us": "enqueue",
    "claim_complete_us": "claim five and complete them",
    "stats_us": "stats",
    "list_us": "list 50 jobs",
    "show_us": "show one",
    "cancel_us": "cancel one",
}


def backlog(stage: Stage) -> Sample:
    """Each operation's time with few jobs waiting, and with many its share of that."""
    many = min(QUICK_MANY if stage.quick else MANY, _fits_into_memory())
    with a_redis() as small, a_redis() as large:
        stage.enqueue(small, FEW)
        stage.enqueue(large, many)
        few, lots = [], []
        for turn in range(TURNS):
            few.append(_operations(stage, small, turn))
            stage.enqueue(small, FEW - small.count("QUEUED"), first=10_000_000 * (turn + 1))  # the turn took some
            lots.append(_operations(stage, large, turn))
    at_few, at_many = medians(few), medians(lots)
    shares = {name.replace("_us", "_share"): at_many[name] / at_few[name] for name in OPERATIONS}
    return {**at_few, **shares, "worst_share": max(shares.values()), "waiting": many}


def _operations(stage: Stage, redis: BenchRedis, turn: int) -> Sample:
    config, _ = stage.config(redis)
    told = config.with_name("told.json")
    first = 5_000_000 + 10_000 * turn
    argv = [sys.executable, "-m", "bench.operations", str(config), str(told), "--first", str(first)]
    with Process(argv, config.parent) as process:
        if process.child.wait(timeout=300):
            raise RuntimeError(f"the operations ended with {process.child.returncode}: {process.words()}")
    sample: Sample = json.loads(told.read_text())
    return sample


def _fits_into_memory() -> int:
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / BYTES_A_JOB)


def _subjects(stage: Stage) -> Mapping[str, Measure]:
    return {OURS: partial(backlog, stage)}


PHASES = (
    Phase(
        "backlog",
        f"{MANY:,} waiting jobs against {FEW:,}",
        {
            **{name: f"{text}, µs at {FEW:,}" for name, text in OPERATIONS.items()},
            **{name.replace("_us", "_share"): f"{text}, with many" for name, text in OPERATIONS.items()},
            "worst_share": "the worst of these",
            "waiting": "many",
        },
        _subjects,
        repetitions=1,
    ),
)
