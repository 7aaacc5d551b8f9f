"""Other queues, each measured by their own benchmark in an environment of its own: one measurement a call.

That benchmark is no part of this project: PEERS names its folder, PEERS_HOME where it keeps its environments. What it
starts runs on the same cores, with the same Redis and bodies of the same length.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.samples import Measure, Sample
from bench.stage import Stage

BESIDE: Final = Path(__file__).parents[3] / "shared" / "bench" / "peers"
FOLDER: Final = Path(os.environ.get("PEERS") or BESIDE).absolute()
HOME: Final = Path(os.environ.get("PEERS_HOME", Path(tempfile.gettempdir()) / "peers")).absolute()
BULLMQ: Final = "BullMQ, Node"
PYTHON: Final = ("BullMQ, Python", "taskiq", "SAQ", "streaq")
NAMES: Final = {
    BULLMQ: "bullmq-node",
    "BullMQ, Python": "bullmq-py",
    "taskiq": "taskiq-list",
    "SAQ": "saq",
    "streaq": "streaq",
}
INTERLEAVED: Final = ("drain", "latency")  # a list of runs, drain's by concurrency
SET_UP_S, MEASURE_S = 1_200, 300
LIMIT = 5  # in 1000 ms: what their limiters are measured at
CRASH_CAP_S = 120  # the best two come back after about 62 s; one that is not back by then counts as if it were


def why_not() -> str:
    """Why the peers cannot be measured here; "" when they can."""
    if not (FOLDER / "run.py").is_file():
        return "PEERS names no folder with the peers' benchmark, and none is beside the project"
    if not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed"
    return ""


def set_up() -> None:
    """Their environments, made once. Raises: subprocess.CalledProcessError."""
    _call("none", NAMES.values(), HOME / "set-up.json", within_s=SET_UP_S)


def node_modules() -> Path:
    """The folder whose node_modules has fastify, express and BullMQ."""
    return HOME / "node"


def drains(stage: Stage, concurrency: int) -> Mapping[str, Measure]:
    """Drain, enqueue and memory: they measure all in one."""
    return {it: partial(_drain, it, concurrency) for it in NAMES} if stage.with_peers else {}


def _drain(name: str, concurrency: int) -> Sample:
    told = _measured("drain", name, "--conc", str(concurrency))
    return {
        "jobs_per_s": told["drain"],
        "worker_us": 1e3 * told["cpu_ms"],
        "redis_us": told["redis_us"],
        "commands": told["cmds"],
        "reads": told["reads"],
        "leads_per_s": told["enq50"],
        "enqueuer_us": 1e3 * told["enq_cpu_ms"],
        "enqueue_redis_us": told["enq_redis_us"],
        "waiting_bytes": told["mem_queued"],
        "finished_bytes": told["mem_done"],
    }


def pickups(stage: Stage) -> Mapping[str, Measure]:
    return {it: partial(_pickup, it) for it in NAMES} if stage.with_peers else {}


def _pickup(name: str) -> Sample:
    told = _measured("latency", name)
    return {"p50_ms": told["p50"], "p99_ms": told["p99"]}


def idles(stage: Stage) -> Mapping[str, Measure]:
    return {it: partial(_idle, it) for it in (BULLMQ, PYTHON[0])} if stage.with_peers else {}


def _idle(name: str) -> Sample:
    told = _measured("idle", name)
    return {
        "all_commands_per_s": told["cmds_s"],
        "cpu_percent": told["cpu_pct"],
        "resident_mib": told["rss"],
        "redis_cpu_percent": told["redis_cpu_pct"],
    }


def limits(stage: Stage) -> Mapping[str, Measure]:
    """Only BullMQ on Node has a limiter that works."""
    return {BULLMQ: partial(_limit, BULLMQ)} if stage.with_peers else {}


def _limit(name: str) -> Sample:
    told = _measured("limit", name)
    return {"most_in_1s": told["max_in_1s"], "share": told["efficiency"]}


def crashes(stage: Stage) -> Mapping[str, Measure]:
    return {it: partial(_crash, it) for it in (BULLMQ, "streaq")} if stage.with_peers else {}


def _crash(name: str) -> Sample:
    told = _measured("crash", name, "--crash-cap", str(CRASH_CAP_S))
    return {"again_s": told["recovered_s"] or CRASH_CAP_S}


def _measured(phase: str, name: str, *options: str) -> dict[str, Any]:
    """What one run of one phase gave of one peer. Raises: RuntimeError, where it gave nothing."""
    peer = NAMES[name]
    with tempfile.TemporaryDirectory(prefix="leadenrich-bench-peers-") as folder:
        out = Path(folder) / "results.json"
        _call(phase, [peer], out, *options)
        told: Any = json.loads(out.read_text())[phase][peer]
        if phase in INTERLEAVED:
            told = told[0] if isinstance(told, list) else told[options[1]][0]
    if told.get("error") or (None in told.values() and phase != "crash"):
        raise RuntimeError(f"{name}, {phase}: {told.get('error') or told}")
    return dict(told)


def _call(phase: str, names: Iterable[str], out: Path, *options: str, within_s: float = MEASURE_S) -> None:
    argv = [sys.executable, str(FOLDER / "run.py"), "--phases", phase, "--only", ",".join(names), "--reps", "1"]
    HOME.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # ours is none of theirs
    child = subprocess.Popen(
        [*argv, "--quiet-wait", "0", "--out", str(out), *options],
        env={**environment, "PEERS_HOME": str(HOME), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _, said = child.communicate(timeout=within_s)
    except BaseException:
        child.terminate()  # not killed: it ends what it started
        child.communicate()
        raise
    if child.returncode:
        raise RuntimeError(f"the peers' benchmark ended with {child.returncode}: {said[-500:]}")
