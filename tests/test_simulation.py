"""Worlds by seed: storms, kills, jumps of the clocks, lost answers. `make simulate` runs a thousand of them."""

from __future__ import annotations

import pytest
from simulation.truths import Truths
from simulation.world import World


@pytest.mark.parametrize("seed", range(1, 11))
def test_a_world_comes_to_rest_and_every_truth_holds(seed: int) -> None:
    world = World(seed, minutes=5.0, changes=15)
    world.run()
    assert Truths(world).contradictions() == []
    assert world.vendors.sales, "nobody bought anything"


def test_a_seed_is_the_same_world_again() -> None:
    """Else a seed that fails could not be looked at."""
    runs = [World(3, minutes=3.0, changes=12) for _ in range(2)]
    for world in runs:
        world.run()
    assert runs[0].log == runs[1].log
    assert len(runs[0].log) > 30
    other = World(4, minutes=3.0, changes=12)
    other.run()
    assert other.log != runs[0].log
