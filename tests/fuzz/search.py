"""Hypothesis looks for a finding: blind bytes, and valid samples changed a little."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed as seeded, settings, strategies as st

from fuzz.mutate import mutated
from fuzz.target import Target, place_of


@dataclass(frozen=True)
class Finding:
    """An input and what it raised."""

    data: bytes
    error: BaseException

    @property
    def place(self) -> str:
        return place_of(self.error)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    samples = [*target.samples, *(path.read_bytes() for path in target.kept())]
    # A seed, not Hypothesis' own chance: that repeats itself so much that half of the inputs were the same.
    chances = st.builds(random.Random, st.integers(0, 2**64))
    changed = st.builds(mutated, st.sampled_from(samples), st.just(target.words), chances)
    return st.binary(max_size=64) | changed | changed


def search(target: Target, examples: int, *, seed: int | None = None) -> Finding | None:
    """An input that fails, among so many. `seed`: always the same ones."""
    found: list[Finding] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target))
    def no_input_is_trouble(data: bytes) -> None:
        if not found and (error := target.trouble(data)) is not None:
            found.append(Finding(data, error))

    seeded(random.getrandbits(64) if seed is None else seed)(no_input_is_trouble)()
    return found[0] if found else None
