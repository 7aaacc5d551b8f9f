"""What is mutated, and which tests must notice: the fastest that speak of it, the likeliest first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from mutation import lua_faults, python_faults
from mutation.mutant import Edit, Mutant, mutants_of

PACKAGE: Final = Path(__file__).parents[2] / "leadenrich"

_STATE_MACHINE: Final = "test_tidy.py::test_the_scripts_carry_out_the_state_machine_and_nothing_else"
_STORE: Final = (
    "store/test_verbs.py", "store/test_contact_rows.py", "store/test_times_and_bounds.py", "store/test_queue.py",
    "store/test_leases.py", "store/test_fences.py", "store/test_pauses.py", "store/test_events_table.py",
)  # fmt: skip
_QUEUE: Final = (
    *_STORE,
    "store/test_batch.py",
    "store/test_cancelled.py",
    "store/test_views.py",
    "store/test_memory.py",
)


def _store(*first: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *_STORE)))


SCOPE: Final[dict[str, tuple[str, ...]]] = {
    "web/signature.py": ("web/test_signature.py",),
    "core/errors.py": ("core/test_errors.py", "core/test_retry.py", "providers/test_answers.py"),
    "core/retry.py": ("core/test_retry.py", "core/test_errors.py"),
    "core/job.py": ("core/test_job.py", "core/test_errors.py", _STATE_MACHINE),
    "providers/answers.py": ("providers/test_answers.py",),
    "store/batch.py": ("store/test_batch.py",),
    "store/claims.py": _QUEUE,
    "store/job_id.py": ("store/test_job_id.py",),
    "store/queue.py": _QUEUE,
    "store/lua/_lib.lua": _STORE,
    "store/lua/begin.lua": ("store/test_foreground.py",),
    "store/lua/bury.lua": _store("store/test_fences.py"),
    "store/lua/cancel.lua": _STORE,
    "store/lua/checkpoint.lua": _store("store/test_leases.py"),
    "store/lua/claim.lua": _STORE,
    "store/lua/complete.lua": _STORE,
    "store/lua/enqueue.lua": _store("store/test_events_table.py"),
    "store/lua/erase.lua": ("store/test_erasure.py",),
    "store/lua/extend.lua": _store("store/test_leases.py"),
    "store/lua/fitting.lua": ("store/test_views.py",),
    "store/lua/reclaim.lua": _store("store/test_leases.py"),
    "store/lua/release.lua": _STORE,
    "store/lua/retry_later.lua": _STORE,
    "store/lua/revive.lua": _STORE,
    "store/lua/switch.lua": _store("store/test_pauses.py"),
}


def mutants_in(file: str) -> list[Mutant]:
    source = (PACKAGE / file).read_bytes()
    find: Callable[[bytes], list[Edit]] = lua_faults.faults if file.endswith(".lua") else python_faults.faults
    return mutants_of(file, source, find(source))


def pytest_arguments(file: str) -> tuple[str, ...]:
    """A script is the same text on the embedded Redis, and slower; Python reads the two's answers differently."""
    tests = tuple(f"tests/{name}" for name in SCOPE[file])
    return (*tests, "-k", "not embedded") if file.endswith(".lua") else tests
