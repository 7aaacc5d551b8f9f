"""Runs tests against a changed copy of the package, each time in a fork of a process that has the libraries loaded.

Starting Python and its libraries takes longer than most of these tests do.
"""

from __future__ import annotations

import compileall
import contextlib
import importlib
import os
import py_compile
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn

from mutation.mutant import Mutant

ROOT: Final = Path(__file__).parents[2]
LIBRARIES: Final = (
    "pytest", "hypothesis.strategies", "pytest_asyncio.plugin", "aiohttp.web", "redis.asyncio.sentinel",
    "redis.asyncio.cluster", "fakeredis.aioredis", "msgspec.json", "cryptography.hazmat.primitives.asymmetric.rsa",
    "cryptography.hazmat.primitives.serialization", "email.utils", "structlog", "prometheus_client", "scourgify",
)  # fmt: skip

Verdict = Literal["killed", "timed out", "survived"]


@dataclass(frozen=True, slots=True)
class Cradle:
    """A copy of the package and of its tests, in which one mutant lives at a time."""

    tree: Path

    @property
    def log(self) -> Path:
        return self.tree.parent / "log"

    def put(self, mutant: Mutant, source: bytes) -> None:
        (self.tree / "leadenrich" / mutant.file).write_bytes(source)


@dataclass(frozen=True, slots=True)
class Run:
    """Tests under way in a fork. `handle` becomes readable when it ends."""

    pid: int
    handle: int
    cradle: Cradle
    deadline: float
    mutant: Mutant | None


class Failed(Exception):
    """The tests fail without any fault: nothing can be said."""


def make_cradle(folder: Path) -> Cradle:
    tree = folder / "tree"
    skip = shutil.ignore_patterns("__pycache__")
    for part in ("leadenrich", "tests"):
        shutil.copytree(ROOT / part, tree / part, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tree)
    shared = ROOT.parent / "shared"
    if shared.exists():
        (folder / "shared").symlink_to(shared)  # the vendors' files lie beside the repository
    # By hash, not by time: two faults of one length within one second are not the same file.
    compileall.compile_dir(tree, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    return Cradle(tree)


def load_libraries() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)


def start(cradle: Cradle, arguments: Sequence[str], within_s: float, mutant: Mutant | None = None) -> Run:
    """Pytest with these arguments. Without a mutant: the package as it is."""
    if mutant is not None:
        cradle.put(mutant, mutant.source)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _be_the_child(cradle, arguments)
    return Run(pid, os.pidfd_open(pid), cradle, time.monotonic() + within_s, mutant)


def _be_the_child(cradle: Cradle, arguments: Sequence[str]) -> NoReturn:
    status = 70
    try:
        os.setsid()  # so that a redis-server of its own can be ended with it
        log = os.open(cradle.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.chdir(cradle.tree)
        sys.path[:] = [
            str(cradle.tree),
            *(path for path in sys.path if not Path(path or ".").is_relative_to(ROOT / "tests")),
        ]
        sys.dont_write_bytecode = True
        status = _run_pytest(cradle, arguments)
    finally:
        sys.stdout.flush()
        os._exit(status)


def _run_pytest(cradle: Cradle, arguments: Sequence[str]) -> int:
    import pytest

    # Plain asserts: rewriting them costs more than it tells here.
    options = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    status = int(pytest.main([*options, *arguments]))
    package = sys.modules.get("leadenrich")
    if package is not None and not str(package.__file__).startswith(str(cradle.tree)):
        return 71
    return status


def ended(runs: Sequence[Run]) -> Iterator[tuple[Run, Verdict]]:
    """Waits until at least one has ended, by itself or by its time."""
    wait_s = max(0.0, min(run.deadline for run in runs) - time.monotonic())
    ready = select.select([run.handle for run in runs], [], [], wait_s)[0]
    for run in runs:
        late = time.monotonic() >= run.deadline
        if run.handle in ready or late:
            yield run, _verdict(run, end(run), timed_out=run.handle not in ready)


def end(run: Run) -> int:
    """Its status. What is left of it ends, too: a redis-server of a test that was cut off."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(run.pid, 0)[1])
    os.close(run.handle)
    return status


def _verdict(run: Run, status: int, *, timed_out: bool) -> Verdict:
    if run.mutant is not None:
        run.cradle.put(run.mutant, run.mutant.original)
    if timed_out:
        return "timed out"
    if status in (5, 70, 71):  # no tests, or not of this copy
        raise Failed(run.cradle.log.read_text())
    return "survived" if status == 0 else "killed"
