"""`make fuzz`: looks for inputs that a parser cannot bear, with atheris where it is there, else with Hypothesis."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from fuzz.parsers import TARGETS, Target
from fuzz.search import search
from fuzz.target import CORPUS, keep, place_of, smallest

EXAMPLES = 2_000  # of Hypothesis between two looks at the clock


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--only", default="", help="targets whose name holds one of these, by comma")
    parser.add_argument("--seen", type=Path, required=True, help="where inputs that reached more are kept between runs")
    return parser.parse_args()


def _replayed(target: Target) -> list[str]:
    return [f"{path.name}: {place_of(error)}" for path in target.kept() if (error := target.trouble(path.read_bytes()))]


def _guided(target: Target, seconds: int, folder: Path) -> tuple[int, list[str]]:
    """Executions, and what was found; a crash or a hang of the interpreter, too: libFuzzer keeps its input."""
    seen, found, log = folder / target.name, folder / f"{target.name}.found", folder / f"{target.name}.log"
    shutil.rmtree(found, ignore_errors=True)
    for place in (seen, found):
        place.mkdir(parents=True, exist_ok=True)
    for sample in [*target.samples, *(path.read_bytes() for path in target.kept())]:
        keep(sample, seen)
    command = [sys.executable, "-m", "fuzz.guided", target.name, str(seen), str(found), f"-max_total_time={seconds}"]
    with log.open("w") as told:
        status = subprocess.run(command, stdout=told, stderr=subprocess.STDOUT, check=False).returncode
    lines = [line for path in sorted(found.iterdir()) if (line := _told(target, path))]
    if status and not lines:
        lines.append(f"it ended with status {status}: see {log}")
    runs = re.search(r"number_of_executed_units: (\d+)", log.read_text(errors="replace"))
    return int(runs[1]) if runs else 0, lines


def _told(target: Target, path: Path) -> str:
    """A finding goes into the corpus: small, except one that ended or stopped the interpreter and would again."""
    kind, dash, _ = path.name.partition("-")
    data, folder = path.read_bytes(), CORPUS / target.name
    if dash:
        return f"{kind}: {keep(data, folder)}"
    return _kept_small(target, data)


def _kept_small(target: Target, data: bytes) -> str:
    """What it is; "" where it is none without atheris, which makes everything slower."""
    small = smallest(target, data)
    error = target.trouble(small)
    return f"{place_of(error)}: {keep(small, CORPUS / target.name)}" if error else ""


def _blind(target: Target, seconds: int, _folder: Path) -> tuple[int, list[str]]:
    ends, runs = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        runs += EXAMPLES
        if finding := search(target, EXAMPLES):
            return runs, [_kept_small(target, finding.data)]
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
