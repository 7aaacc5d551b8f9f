"""`make simulate`: many seeds, or one of them again, told step by step."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from simulation.truths import Truths
from simulation.world import World


def contradictions(seed: int, minutes: float) -> list[str]:
    """Everything that is wrong with a seed's world; a world that broke says how."""
    world = World(seed, minutes=minutes)
    try:
        world.run()
    except Exception:  # noqa: BLE001 - whatever broke it is this seed's finding
        return [traceback.format_exc()]
    return Truths(world).contradictions()


def replay(seed: int, minutes: float) -> int:
    """One seed twice: what happened, what is wrong, and whether both runs were the same."""
    world, again = World(seed, minutes=minutes), World(seed, minutes=minutes)
    failed = None
    try:
        world.run()
    except Exception:  # noqa: BLE001 - told below, after what led to it
        failed = traceback.format_exc()
    print("\n".join(world.log))
    if failed:
        print(failed)
        return 1
    again.run()
    wrong = Truths(world).contradictions()
    print(*wrong, sep="\n")
    same = world.fingerprint == again.fingerprint
    print(f"seed {seed}: {len(wrong)} contradictions; run twice: {'the same' if same else 'NOT the same'}")
    return 1 if wrong or not same else 0


def sweep(seeds: range, minutes: float) -> int:
    began, bad = time.monotonic(), 0
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        answers = workers.map(contradictions, seeds, [minutes] * len(seeds), chunksize=4)
        for done, (seed, wrong) in enumerate(zip(seeds, answers, strict=True), start=1):
            if wrong:
                bad += 1
                print(f"seed {seed}:", *wrong, f"again: make simulate SEED={seed}", sep="\n  ", flush=True)
            if done % 100 == 0:
                print(f"{done} seeds, {bad} failed, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{len(seeds)} seeds of {minutes:g} simulated minutes: {bad} failed, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="this one only, twice, told step by step")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        return replay(chosen.seed, chosen.minutes)
    return sweep(range(chosen.first, chosen.first + chosen.seeds), chosen.minutes)


if __name__ == "__main__":
    sys.exit(main())
