"""kill -9 in the middle of a job: how long until it runs again."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from functools import partial

from bench import peers
from bench.daemon import Daemon
from bench.process import until
from bench.samples import OURS, Measure, Phase, Sample
from bench.server import a_redis
from bench.stage import Stage

INTO_THE_JOB_S = 3.0  # past a first beat, as in the peers' benchmark


def crash(stage: Stage) -> Sample:
    """From the restart, right after the kill, under the same configuration."""
    with a_redis() as redis:
        config, port = stage.config(redis)
        stage.enqueue(redis, 1)
        with Daemon(config, port, noop="hang") as first:
            until(lambda: len(first.starts()) == 1, "the job began")
            time.sleep(INTO_THE_JOB_S)
            first.end(signal.SIGKILL)
        restarted_s = time.time()
        with Daemon(config, port, noop="hang") as second:
            until(lambda: len(second.starts()) == 2, "the job began again", within_s=120)
            return {"again_s": second.starts()[1][1] / 1e9 - restarted_s}


def _subjects(stage: Stage) -> Mapping[str, Measure]:
    return {OURS: partial(crash, stage), **peers.crashes(stage)}


PHASES = (Phase("crash", "kill -9 in a job", {"again_s": "runs again after the restart, s"}, _subjects, 1),)
