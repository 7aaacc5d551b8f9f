"""`make bench`: runs the phases, prints their figures, keeps them in docs/performance.md."""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from scale.page import renew

from bench import backlog, crash, drain, idle, ingest, limiter, location, memory, peers, pickup, startup
from bench.goals import verdicts
from bench.process import LOAD_CORE
from bench.quiet import quiet
from bench.report import Taken, as_table, as_text, keep, read, taken, verdict_rows, write_page
from bench.samples import Figures, Phase, Sample
from bench.stage import Stage, a_stage

MODULES = (drain, ingest, pickup, idle, memory, crash, limiter, location, backlog, startup)
PHASES: dict[str, Phase] = {phase.name: phase for module in MODULES for phase in module.PHASES}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"some of {', '.join(PHASES)}, by comma; a prefix means all of it")
    parser.add_argument("--quick", action="store_true", help="less load, one run each; the page keeps its figures")
    parser.add_argument("--ours", action="store_true", help="without the peers")
    parser.add_argument("--page", action="store_true", help="measure nothing, make the page again from its JSON")
    parser.add_argument("--repetitions", type=int, default=0, help="how often; the medians count")
    parser.add_argument("--quiet-wait", type=float, default=20.0, help="seconds that a measurement waits for quiet")
    parser.add_argument(
        "--log-level", default="warning", help="log.level of our daemons; the product's default is info"
    )
    return parser.parse_args()


def chosen(only: str) -> list[Phase]:
    """By name, or by what several names begin with. Raises: SystemExit, for what is neither."""
    wanted: set[str] = set()
    for name in filter(None, only.split(",")):
        found = {name} & PHASES.keys() or {phase for phase in PHASES if phase.startswith(name)}
        if not found:
            sys.exit(f"no such phase: {name}; there are {', '.join(PHASES)}")
        wanted |= found
    return [phase for phase in PHASES.values() if not wanted or phase.name in wanted]


def run(phase: Phase, stage: Stage, repetitions: int, quiet_wait_s: float) -> Taken:
    """All subjects in turn, again and again, so that drift of the machine meets each of them alike."""
    subjects = phase.subjects(stage)
    samples: dict[str, list[Sample]] = {subject: [] for subject in subjects}
    others = []
    for _ in range(repetitions):
        for subject, measure in subjects.items():
            others.append(quiet(quiet_wait_s))
            began = time.monotonic()
            try:
                sample = measure()
            except Exception as error:  # noqa: BLE001 - hours of other measurements must not go with this one
                _say(f"{phase.name}: {subject}: NOT MEASURED: {type(error).__name__}: {error}")
                continue
            samples[subject].append(sample)
            told = ", ".join(f"{name} {value:,.4g}" for name, value in sample.items())
            _say(f"{phase.name}: {subject}: {told}  [{time.monotonic() - began:.1f} s, others {others[-1]:.2f}]")
    return taken(samples, statistics.median(others))


def with_peers(arguments: argparse.Namespace) -> bool:
    if arguments.ours:
        return False
    why = peers.why_not()
    if why:
        _say(f"the peers are missing, ours alone is measured: {why}")
        return False
    _say("the peers' environments (made once, takes minutes) ...")
    peers.set_up()
    return True


def main() -> int:
    arguments = _arguments()
    phases = chosen(arguments.only)
    if arguments.page:
        write_page(read(), PHASES)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what it started ends with it
    os.sched_setaffinity(0, {int(LOAD_CORE)})  # the harness itself; each child is told its own core
    beside_peers = with_peers(arguments)
    figures: Figures = {}
    whole = True
    with (
        tempfile.TemporaryDirectory(prefix="leadenrich-bench-") as folder,
        a_stage(Path(folder), quick=arguments.quick, log_level=arguments.log_level, with_peers=beside_peers) as stage,
    ):
        for phase in phases:
            repetitions = arguments.repetitions or (1 if arguments.quick else phase.repetitions)
            found = run(phase, stage, repetitions, arguments.quiet_wait)
            figures[phase.name] = found.figures()
            whole = whole and all(found.samples.values())
            print(as_text(phase, figures[phase.name]), flush=True)
            if not arguments.quick:
                keep(phase, found, PHASES)
                renew()
    print(as_table(verdict_rows(verdicts(figures))))
    return 0 if whole else 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
