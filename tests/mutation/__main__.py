"""`make mutate`: small faults in the queue, the signature and the judge of errors, and how many go unnoticed."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mutation.equivalents import equivalents, excuse_of
from mutation.mutant import Mutant
from mutation.nursery import Cradle, Failed, Run, end, ended, load_libraries, make_cradle, start
from mutation.report import Tried, holds, keep, part_of, survivor, table
from mutation.scope import SCOPE, mutants_in, pytest_arguments

WITHIN_S_MIN = 40.0  # a busy machine is slow; only what hangs must meet it


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("--only", default="", help="files whose name holds one of these, by comma")
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample")
    parser.add_argument("--most", type=int, default=0, help="mutants of a part at most; 0: all")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--no-page", action="store_true", help="print only")
    return parser.parse_args()


def _sample(mutants: Sequence[Mutant], most: int, seed: int) -> list[Mutant]:
    """At most so many of each part, mixed: what is learnt early is true of all."""
    chance = random.Random(seed)
    mixed = chance.sample(list(mutants), len(mutants))
    taken: Counter[str] = Counter()
    sample = []
    for mutant in mixed:
        part = part_of(mutant.file)
        taken[part] += 1
        if not most or taken[part] <= most:
            sample.append(mutant)
    return sample


def _limits_s(cradle: Cradle, files: Sequence[str]) -> dict[str, float]:
    """How long each file's tests may take with a fault: some times what they take without. Raises: Failed."""
    took: dict[frozenset[str], float] = {}
    for arguments in map(pytest_arguments, files):
        if frozenset(arguments) in took:
            continue
        began = time.monotonic()
        [(_, verdict)] = ended([start(cradle, arguments, 600.0)])
        if verdict != "survived":
            raise Failed(cradle.log.read_text())
        took[frozenset(arguments)] = time.monotonic() - began
    return {file: max(WITHIN_S_MIN, 6 * took[frozenset(pytest_arguments(file))]) for file in files}


def _all_tried(mutants: Sequence[Mutant], cradles: Sequence[Cradle], limits_s: dict[str, float]) -> Iterator[Tried]:
    known = equivalents()
    excused = {mutant: excuse for mutant in mutants if (excuse := excuse_of(mutant, known))}
    yield from (Tried(mutant, "survived", excuse) for mutant, excuse in excused.items())
    waiting, free, runs = [mutant for mutant in mutants if mutant not in excused], list(cradles), list[Run]()
    try:
        while waiting or runs:
            while waiting and free:
                mutant = waiting.pop()
                runs.append(start(free.pop(), pytest_arguments(mutant.file), limits_s[mutant.file], mutant))
            for run, verdict in list(ended(runs)):
                runs.remove(run)
                free.append(run.cradle)
                assert run.mutant is not None
                yield Tried(run.mutant, verdict)
    finally:
        for run in runs:
            end(run)


def _try_all(files: Sequence[str], arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    mutants = [mutant for file in files for mutant in mutants_in(file)]
    sample = _sample(mutants, arguments.most, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="leadenrich-mutants-") as folder:
        cradles = [make_cradle(Path(folder) / str(number)) for number in range(arguments.at_once)]
        load_libraries()
        limits_s = _limits_s(cradles[0], files)
        tried = []
        for one in _all_tried(sample, cradles, limits_s):
            tried.append(one)
            if one.verdict == "survived" and one.excused is None:
                print(survivor(one), flush=True)
            if len(tried) % 50 == 0:
                print(f"{len(tried)} of {len(sample)} ...", file=sys.stderr, flush=True)
    shown = table(tried, Counter(part_of(mutant.file) for mutant in mutants))
    print(shown)
    if not arguments.only and not arguments.no_page:
        keep(shown, arguments.seed, time.monotonic() - began)
    return 0 if holds(tried) else 1


def main() -> int:
    arguments = _arguments()
    wanted = [word for word in arguments.only.split(",") if word]
    files = [file for file in SCOPE if not wanted or any(word in file for word in wanted)]
    if not files:
        print(f"no file of {', '.join(SCOPE)}", file=sys.stderr)
        return 2
    os.nice(10)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended, too
    try:
        return _try_all(files, arguments)
    except Failed as failed:
        print(f"the tests fail without any fault:\n{failed}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
