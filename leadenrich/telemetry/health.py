"""One truth told twice: /healthz and /readyz to whoever asks, READY, WATCHDOG and STOPPING to systemd.

Each half of the daemon judges itself and reports here, part by part; nobody judges for another.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, TypeAlias

import msgspec
import structlog
from msgspec.structs import replace

Half: TypeAlias = Literal["web", "worker"]

_log: Final = structlog.get_logger(__name__)
_STARTING: Final = "start"


class HalfReport(msgspec.Struct, frozen=True):
    """One half: `problems` maps the part to what is wrong with it; empty when the half can do its work."""

    ready: bool
    problems: dict[str, str]


class HealthReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What /readyz shows. `notes` are worth knowing and no reason to be unready: a paused provider and why."""

    ready: bool
    web: HalfReport | None = None
    worker: HalfReport | None = None
    notes: dict[str, str] = {}

    @property
    def trouble(self) -> str:
        """All problems in one line; "" when ready."""
        halves = (("web", self.web), ("worker", self.worker))
        told = (
            f"{name}: {part}: {problem}"
            for name, half in halves
            if half is not None
            for part, problem in half.problems.items()
        )
        return "; ".join(told)


async def _nothing_to_look_at() -> None: ...


class Health:
    """The verdicts of the halves in this process. Not ready until `ready()`, never again after `stopping()`.

    `look` may be set: it brings up to date what is read only when somebody asks.
    """

    def __init__(self, halves: Sequence[Half] = ("web", "worker")) -> None:
        self._problems: dict[Half, dict[str, str]] = {half: {_STARTING: "is starting"} for half in halves}
        self._notes: dict[str, str] = {}
        self._lenses: list[Callable[[HealthReport], HealthReport]] = []
        self.look: Callable[[], Awaitable[None]] = _nothing_to_look_at

    def report(self, half: Half, part: str, problem: str | None) -> None:
        """Say what is wrong with a part of a half (`redis`, `pool`); None when it works. Safe to repeat.

        A half that does not run in this process is not listened to.
        """
        problems = self._problems.get(half)
        if problems is None or problems.get(part) == problem:
            return
        if problem is None:
            del problems[part]
            _log.info("part_well_again", half=half, part=part)
        else:
            problems[part] = problem
            _log.warning("part_in_trouble", half=half, part=part, problem=problem)

    def note(self, part: str, text: str | None) -> None:
        """Show a fact on /readyz without becoming unready: a paused provider. None takes it back."""
        if text is None:
            self._notes.pop(part, None)
        else:
            self._notes[part] = text

    def seen_through(self, lens: Callable[[HealthReport], HealthReport]) -> None:
        """Let something that changes what a trouble means change the report: a spool, while the store is away."""
        self._lenses.append(lens)

    async def fresh_report(self) -> HealthReport:
        """The report for somebody who asks; takes as long as Redis may take to answer."""
        await self.look()
        return self.report_now()

    def report_now(self) -> HealthReport:
        """What is known without a look."""
        halves = {
            half: HalfReport(ready=not problems, problems=dict(sorted(problems.items())))
            for half, problems in self._problems.items()
        }
        report = HealthReport(ready=True, notes=dict(sorted(self._notes.items())), **halves)
        for lens in self._lenses:
            report = lens(report)
        ready = all(half.ready for half in (report.web, report.worker) if half is not None)
        return replace(report, ready=ready)

    def ready(self, status: str = "") -> None:
        """All of it stands: the end of the start, or of a reload; `status` is what `systemctl status` shows."""
        for half in self._problems:
            self._problems[half].pop(_STARTING, None)
        tell_systemd(f"READY=1\nSTATUS={status}" if status else "READY=1")

    def reloading(self) -> None:
        """A reload begins; `ready()` ends it. systemd wants the monotonic time to tell two reloads apart."""
        tell_systemd(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        for problems in self._problems.values():
            problems["stop"] = "is stopping"
        tell_systemd("STOPPING=1")

    def watchdog(self) -> None:
        """Prove progress. To be called by what makes progress, not by a bare timer."""
        tell_systemd("WATCHDOG=1")


def watchdog_interval() -> float | None:
    """Seconds between two signs of life: half of what systemd allows this process; None without a watchdog."""
    allowed, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not (allowed.isascii() and allowed.isdigit()) or int(allowed) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(allowed) / 1_000_000 / 2


def tell_systemd(message: str) -> None:
    """Send one datagram to `$NOTIFY_SOCKET`; nothing where there is none. Source: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # the abstract namespace
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.settimeout(0.5)  # systemd busy: better a late sign than a blocked loop
            notify.sendto(message.encode(), address)
    except OSError as error:
        _log.warning("systemd_not_told", message=message.splitlines()[0], error=str(error))
