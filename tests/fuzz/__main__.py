"""`make fuzz`: looks for inputs that a parser cannot bear, with atheris where it is there, else with Hypothesis."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from fuzz.parsers import TARGETS, Target
from fuzz.search import search
from fuzz.target import CORPUS, keep, place_of

EXAMPLES = 2_000  # of Hypothesis between two looks at the clock


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--only", default="", help="targets whose name holds one of these, by comma")
    parser.add_argument("--seen", type=Path, required=True, help="where inputs that reached more are kept between runs")
    return parser.parse_args()


def _replayed(target: Target) -> list[str]:
    return [f"{path.name}: {place_of(error)}" for path in target.kept() if (error := target.trouble(path.read_bytes()))]


def _guided(target: Target, seconds: int, seen: Path) -> tuple[int, list[str]]:
    """Executions, and what was found. A crash or a hang of the interpreter is found, too: libFuzzer keeps its input."""
    folder = seen / target.name
    folder.mkdir(parents=True, exist_ok=True)
    (CORPUS / target.name).mkdir(exist_ok=True)
    for number, sample in enumerate([*target.samples, *(path.read_bytes() for path in target.kept())]):
        (folder / f"sample-{number}").write_bytes(sample)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={CORPUS / target.name}/"]
    command = [sys.executable, "-m", "fuzz.guided", target.name, str(folder), *options]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    (seen / f"{target.name}.log").write_text(done.stdout)
    runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    found = re.findall(r"^FOUND (.+)$", done.stdout, re.MULTILINE)
    found += re.findall(r"Test unit written to (\S+)", done.stdout)
    if done.returncode != 0 and not found:
        found.append(f"it ended with status {done.returncode}: see {seen / target.name}.log")
    return int(runs[1]) if runs else 0, found


def _blind(target: Target, seconds: int, _seen: Path) -> tuple[int, list[str]]:
    ends, runs = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        runs += EXAMPLES
        if finding := search(target, EXAMPLES):
            return runs, [f"{finding.place}: {keep(target, finding.data)}"]
    return runs, []


def main() -> int:
    arguments = _arguments()
    wanted = [word for word in arguments.only.split(",") if word]
    chosen = [it for name, it in TARGETS.items() if not wanted or any(word in name for word in wanted)]
    if not chosen:
        print(f"no target of {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    guided = importlib.util.find_spec("atheris") is not None
    if not guided:
        print(
            "atheris is not there (it has no wheel for every Python): Hypothesis looks, without sight of the coverage."
        )
    os.nice(10)
    faults = 0
    for target in chosen:
        runs, found = 0, _replayed(target)
        if not found:  # else it would be found again: it is to be mended first
            runs, found = (_guided if guided else _blind)(target, arguments.seconds, arguments.seen)
        print(f"{target.name:22}{runs:>12,} inputs  {len(found) or 'nothing'} found", flush=True)
        for line in found:
            print(f"    {line}", flush=True)
        faults += len(found)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
