"""`make bench`: runs the phases, prints their figures, keeps them in docs/performance.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench import drain, ingest
from bench.quiet import quiet
from bench.samples import Phase, Sample, medians
from bench.stage import Stage, a_stage

PHASES: dict[str, Phase] = {phase.name: phase for module in (drain, ingest) for phase in module.PHASES}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"some of {', '.join(PHASES)}, by comma; a prefix means all of it")
    parser.add_argument("--quick", action="store_true", help="less load, one run each; the page keeps its figures")
    parser.add_argument("--repetitions", type=int, default=0, help="how often; the medians count")
    parser.add_argument("--quiet-wait", type=float, default=20.0, help="seconds that a measurement waits for quiet")
    parser.add_argument("--log-level", default="info", help="log.level of our daemons; info is the product's default")
    return parser.parse_args()


def chosen(only: str) -> list[Phase]:
    """Raises: SystemExit, for a name that is none."""
    wanted = [name for name in only.split(",") if name] or list(PHASES)
    for name in wanted:
        if not any(phase.startswith(name) for phase in PHASES):
            sys.exit(f"no such phase: {name}; there are {', '.join(PHASES)}")
    return [phase for phase in PHASES.values() if any(phase.name.startswith(name) for name in wanted)]


def run(phase: Phase, stage: Stage, repetitions: int, quiet_wait_s: float) -> dict[str, list[Sample]]:
    """All subjects in turn, again and again, so that drift of the machine meets each of them alike."""
    subjects = phase.subjects(stage)
    samples: dict[str, list[Sample]] = {subject: [] for subject in subjects}
    for _ in range(repetitions):
        for subject, measure in subjects.items():
            others = quiet(quiet_wait_s)
            began = time.monotonic()
            sample = measure()
            samples[subject].append(sample)
            shown = ", ".join(f"{name} {value:,.4g}" for name, value in sample.items())
            print(f"{phase.name}: {subject}: {shown}  [{time.monotonic() - began:.1f} s, others {others:.2f}]",
                  file=sys.stderr, flush=True)  # fmt: skip
    return samples


def main() -> int:
    arguments = _arguments()
    with (
        tempfile.TemporaryDirectory(prefix="leadenrich-bench-") as folder,
        a_stage(Path(folder), quick=arguments.quick, log_level=arguments.log_level) as stage,
    ):
        for phase in chosen(arguments.only):
            repetitions = arguments.repetitions or (1 if arguments.quick else phase.repetitions)
            samples = run(phase, stage, repetitions, arguments.quiet_wait)
            print(f"\n{phase.title}")
            for subject, taken in samples.items():
                figures = medians(taken)
                print(f"  {subject}: " + ", ".join(f"{figures[it]:,.4g} {unit}" for it, unit in phase.unit_of.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
