"""How long a person waits for a command, and a restart for its daemon."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from functools import partial

from bench.daemon import LEADENRICH
from bench.process import APP_CORE, pinned
from bench.samples import OURS, Measure, Phase, Sample
from bench.server import a_redis
from bench.stage import Stage


def version(stage: Stage) -> Sample:
    began = time.monotonic()
    subprocess.run(
        pinned(APP_CORE, [*LEADENRICH, "--version"]), cwd=stage.folder, stdout=subprocess.DEVNULL, check=True
    )
    return {"ms": 1e3 * (time.monotonic() - began)}


def serve(stage: Stage) -> Sample:
    """Until /readyz answers 200: vendors warm, scripts loaded, both halves up."""
    with a_redis() as redis:
        config_written = time.monotonic()
        with stage.daemon(redis) as daemon:
            daemon.ready()
            return {"ms": 1e3 * (time.monotonic() - config_written)}


def _subjects(stage: Stage) -> Mapping[str, Measure]:
    return {f"{OURS} --version": partial(version, stage), f"{OURS} serve": partial(serve, stage)}


PHASES = (Phase("startup", "Start", {"ms": "ms"}, _subjects, 10),)
