"""atheris on one target, in a process of its own, since libFuzzer ends the process when its time is over.

    python -m fuzz.guided TARGET SEEN FOUND [options of libFuzzer]

SEEN is the folder of inputs that reach more of the program, FOUND that of findings. It goes on after one: each kind
and place is kept once.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found, unused-ignore]

# What reads on our behalf is watched too, where it is Python.
with atheris.instrument_imports(include=["leadenrich", "tomllib", "email._parseaddr", "scourgify", "usaddress"]):
    from fuzz.parsers import TARGETS

from fuzz.mutate import mutated
from fuzz.target import keep, place_of

BYTES_MAX = 32_768


def main() -> None:
    name, seen, found, *options = sys.argv[1:]
    target = TARGETS[name]
    places: set[str] = set()

    def one(data: bytes) -> None:
        error = target.trouble(data)
        if error is not None and (place := place_of(error)) not in places:
            places.add(place)
            keep(data, Path(found))

    def mutator(data: bytes, size_max: int, seed: int) -> bytes:
        chance = random.Random(seed)
        changed: bytes = (
            mutated(data, target.words, chance) if chance.random() < 0.5 else atheris.Mutate(data, size_max)
        )
        return changed[:size_max]

    arguments = [
        sys.argv[0],
        f"-max_len={BYTES_MAX}",
        "-timeout=20",
        "-print_final_stats=1",
        *options,
        f"-artifact_prefix={found}/",
        seen,
    ]
    atheris.Setup(arguments, one, custom_mutator=mutator, internal_libfuzzer=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
