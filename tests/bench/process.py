"""Processes of a measurement: pinned to a core, measured by /proc, ended by the pid that was started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

TESTS = Path(__file__).parents[1]
APP_CORE, LOAD_CORE = ("0", "1") if (os.cpu_count() or 1) > 1 else ("0", "0")  # the load's core has Redis too
TICK = os.sysconf("SC_CLK_TCK")
LOOK_S = 0.002
# One's own path comes along: another tree of leadenrich can be measured with these files.
PATH = os.pathsep.join([str(TESTS), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])


def until(fact: Callable[[], T | None], what: str, *, within_s: float = 30.0, look_s: float = LOOK_S) -> T:
    """Looks again and again until there is an answer other than None or False. Raises: TimeoutError."""
    deadline = time.monotonic() + within_s
    while True:
        answer = fact()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"did not come within {within_s} s: {what}")
        time.sleep(look_s)


def pinned(core: str, argv: Sequence[str]) -> list[str]:
    return ["taskset", "-c", core, *argv]


class Process:
    """A child on one core; what it says goes to a file in `folder`. Ends with the `with` block, by kill -9."""

    def __init__(
        self, argv: Sequence[str], folder: Path, *, core: str = APP_CORE, env: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.said = folder / f"said-{time.monotonic_ns()}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LEADENRICH_")}
        with self.said.open("wb") as said:
            self.child = subprocess.Popen(
                pinned(core, argv), stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                cwd=folder, env={**clean, "PYTHONPATH": PATH, **(env or {})},
            )  # fmt: skip

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM, *, within_s: float = 30.0) -> int:
        """Its exit status."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.child.wait(timeout=within_s)

    @property
    def running(self) -> bool:
        return self.child.poll() is None

    def words(self, most: int = 2_000) -> str:
        """The end of what it said."""
        return self.said.read_text(errors="replace")[-most:]

    def cpu_s(self) -> float:
        """CPU time so far, all threads; in steps of a tick (10 ms)."""
        after_name = Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(after_name[11]) + int(after_name[12])) / TICK

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.child.pid}/status").read_text().splitlines()
        [kilobytes] = [line.split()[1] for line in status if line.startswith("VmRSS:")]
        return int(kilobytes) / 1024
