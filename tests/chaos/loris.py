"""T11: five hundred clients that take their time, beside good ones; and a daemon that may open few files."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from daemon_process import DaemonProcess, people

from chaos.figures import Figure, Findings, at_most, exactly, told
from chaos.order import Order, findings
from chaos.readings import files, pool_ports
from chaos.slow_clients import SLOWNESSES, Held, hold_all
from chaos.stage import ALWAYS, Stage, stage
from leadenrich.sandbox.events import contact_event, signed_headers

SLOW, GOOD_PER_S = 500, 50
FILES_FEW = 256
LATE_S = 1.5  # aiohttp rounds longer times up to a whole second, and a body's end waits for nothing more
LOG_PER_S = 10
OUT_OF_FILES = ("Too many open files", "out of system resource", "EMFILE")


@dataclass(frozen=True, slots=True)
class Setting:
    """How the daemon is started: with how many files at most (0: as many as we may), on whose event loop."""

    name: str
    files_max: int = 0
    uvloop: bool = True


SETTINGS = (
    Setting("as installed"),
    Setting(f"{FILES_FEW} files at most", FILES_FEW),
    Setting(f"{FILES_FEW} files at most, without uvloop", FILES_FEW, uvloop=False),
)


@dataclass(slots=True)
class Good:
    """What senders met that do as HighLevel does: a connection for each webhook; what is not answered is sent again."""

    seconds: list[float] = field(default_factory=list)  # to the 2xx, other tries included
    again: int = 0
    statuses: Counter[int] = field(default_factory=Counter)

    def slower_s(self, share: float) -> float:
        return sorted(self.seconds)[-max(1, round(share * len(self.seconds)))]


@dataclass(frozen=True, slots=True)
class Ordeal:
    """One run. `late` are those held longer than they may be; `refused` those that were let go at once."""

    setting: Setting
    good: Good
    held: list[Held]
    lost: int
    log_per_s: int
    out_of_files: int
    files_before: int
    files_after: int
    ready_after: bool

    @property
    def late(self) -> list[Held]:
        return [it for it in self.held if it.seconds > it.slowness.closed_s + LATE_S]

    def longest_s(self, closed_s: float) -> float:
        return max(it.seconds for it in self.held if it.slowness.closed_s == closed_s)


async def slow_clients(order: Order) -> Findings:
    began = time.monotonic()
    ordeals = [await _ordeal(order, setting) for setting in SETTINGS]
    ready = all(it.ready_after for it in ordeals)
    figures = (
        told("slow clients at once, good webhooks a second", f"{len(ordeals[0].held)}, {GOOD_PER_S}"),
        exactly("good webhooks not answered 2xx", sum(it.good.statuses.total() for it in ordeals), 0),
        exactly("good webhooks lost", sum(it.lost for it in ordeals), 0),
        at_most("99 % of the good ones answered within", max(it.good.slower_s(0.01) for it in ordeals), 1, unit=" s"),
        exactly("slow clients held longer than they may be", sum(len(it.late) for it in ordeals), 0),
        at_most("lines in the log in a second, besides those of jobs", max(it.log_per_s for it in ordeals), LOG_PER_S),
        exactly("times that no file was left", sum(it.out_of_files for it in ordeals), 0),
        exactly("descriptors not given back", sum(max(0, it.files_after - it.files_before) for it in ordeals), 0),
        Figure("ready afterwards", "yes" if ready else "no", "yes", ready),
    )
    bounds = sorted({it.closed_s for it in SLOWNESSES})
    head = ("the daemon", "good webhooks", "sent again", "50 % within", "99 % within",
            *(f"held at most, of {bound:.0f} s" for bound in bounds), "let go before their time",
            "lines a second")  # fmt: skip
    rows = (
        (it.setting.name, str(len(it.good.seconds)), str(it.good.again), f"{it.good.slower_s(0.5) * 1000:.0f} ms",
         f"{it.good.slower_s(0.01) * 1000:.0f} ms", *(f"{it.longest_s(bound):.1f} s" for bound in bounds),
         str(sum(one.seconds < one.slowness.closed_s - 1 for one in it.held)), str(it.log_per_s))
        for it in ordeals
    )  # fmt: skip
    return findings("slow-clients", "Five hundred clients that take their time", order, began, figures, (head, *rows))


async def _ordeal(order: Order, setting: Setting) -> Ordeal:
    slow = SLOW // 5 if order.quick else SLOW
    async with stage(order.folder / setting.name.replace(" ", "-"), *ALWAYS, seed=order.seed) as scene:
        daemon = scene.daemon()
        with _children(order.folder, setting):
            await daemon.start()
        good, over, before = Good(), asyncio.Event(), files(daemon.pid, pool_ports(scene)).own
        senders = asyncio.create_task(_bring(scene, daemon, good, over))
        await asyncio.sleep(1)
        held = await hold_all(int(daemon.url.rpartition(":")[2]), slow)
        await asyncio.sleep(1)
        over.set()
        await senders
        await scene.all_done(within_s=300)
        found = await scene.jobs()
        ready = (await daemon.get("/readyz"))[0] == 200
        await asyncio.sleep(1)
        after = files(daemon.pid, pool_ports(scene)).own
        lost = sum(job is None for job in found.values())
        out_of_files = sum(any(word in line for word in OUT_OF_FILES) for line in daemon.text)
        return Ordeal(setting, good, held, lost, _lines_per_s(daemon), out_of_files, before, after, ready)


@contextmanager
def _children(folder: Path, setting: Setting) -> Iterator[None]:
    """What is started meanwhile inherits the setting."""
    limits, path = resource.getrlimit(resource.RLIMIT_NOFILE), os.environ.get("PYTHONPATH", "")
    if setting.files_max:
        resource.setrlimit(resource.RLIMIT_NOFILE, (setting.files_max, limits[1]))
    if not setting.uvloop:
        shadow = folder / "no-uvloop"
        shadow.mkdir()
        (shadow / "uvloop.py").write_text("raise ImportError('not this time')\n")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(shadow), path]))
    try:
        yield
    finally:
        os.environ["PYTHONPATH"] = path
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def _bring(scene: Stage, daemon: DaemonProcess, good: Good, over: asyncio.Event) -> None:
    """At an even pace, whatever becomes of those before."""
    loop, number = asyncio.get_running_loop(), 0
    due = loop.time()
    async with asyncio.TaskGroup() as group:
        while not over.is_set():
            group.create_task(_tell(scene, daemon, good, number))
            number, due = number + 1, due + 1 / GOOD_PER_S
            await asyncio.sleep(max(0.0, due - loop.time()))


async def _tell(scene: Stage, daemon: DaemonProcess, good: Good, number: int) -> None:
    [contact] = people(scene.sandbox, 1, start=number)
    body = contact_event("ContactCreate", contact)
    headers, began = signed_headers(body, scene.sandbox.keys.sign), time.monotonic()
    while time.monotonic() < began + 60:
        with suppress(aiohttp.ClientConnectionError, TimeoutError):
            status, answer, _ = await daemon.post("/webhooks/ghl", body, headers)
            if status in (200, 202):
                good.seconds.append(time.monotonic() - began)
                scene.accepted[contact.contact_id] = str(answer["job_id"])
            else:
                good.statuses[status] += 1
            return
        good.again += 1
        await asyncio.sleep(0.2)
    good.statuses[0] += 1


def _lines_per_s(daemon: DaemonProcess) -> int:
    """The most lines that any second brought which tell of no job."""
    seconds = Counter(str(line.get("time", ""))[:19] for line in daemon.lines if "job_id" not in line)
    unreadable = len(daemon.text) - len(daemon.lines)  # what is no JSON came from somewhere else than our log
    return max([*seconds.values(), unreadable])
