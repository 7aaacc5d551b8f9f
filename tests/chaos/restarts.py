"""Restarts again and again while webhooks come, each sent once: no answer may miss, and none be late."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from daemon_process import DaemonProcess, people
from held_socket import HeldSocket, NotifySocket

from chaos.costs import what_it_cost
from chaos.figures import Findings, at_most, exactly, told
from chaos.order import Order, findings
from chaos.stage import ALWAYS, Stage, stage
from leadenrich.sandbox.events import contact_event, signed_headers

SENDERS, PER_S = 16, 60  # every second one keeps its connection, as a proxy does; the others do as HighLevel does
BETWEEN_S = (0.3, 1.0)  # from READY to the next SIGTERM
LATE_S = 2.0
LONG_S = 0.3  # an answer that took this long waited for a start


@dataclass(slots=True)
class Traffic:
    """What the senders met: each webhook is sent once, and whatever is no 2xx is a lead that its sender lost."""

    seconds: list[float] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)
    lives_s: list[float] = field(default_factory=list)  # from SIGTERM to the next READY
    ends: Counter[int] = field(default_factory=Counter)  # exit statuses

    def slower_s(self, share: float) -> float:
        return sorted(self.seconds)[-max(1, round(share * len(self.seconds)))]


async def restarts(order: Order) -> Findings:
    began, times = time.monotonic(), 3 if order.quick else 20
    rows = [("the door", "webhooks", "not answered 2xx", "50 % within", "99 % within", "all within",
             "waited for a start")]  # fmt: skip
    async with _stage(order, "held") as scene:
        traffic = await _restarted(scene, times, held=True)
        last_s = await scene.all_done(within_s=300)
        found = await scene.jobs()
        rows.append(_row("held by systemd (leadenrich.socket)", traffic))
        figures = (
            told("restarts, webhooks a second", f"{times}, {PER_S}"),
            exactly("webhooks not answered 2xx", traffic.missed.total(), 0),
            at_most("the slowest answer", max(traffic.seconds), LATE_S, unit=" s"),
            exactly("ends with another status than 0", traffic.ends.total() - traffic.ends[0], 0),
            *what_it_cost(scene, found),
            exactly("bought twice", scene.book.bought_again(), 0),
            told("SIGTERM to READY, at most", f"{max(traffic.lives_s):.2f} s"),
            told("last restart to all done", f"{last_s:.1f} s"),
        )
    if not order.quick:
        async with _stage(order, "own") as scene:
            rows.append(_row("the daemon's own", await _restarted(scene, times, held=False)))
    return findings("restarts", "Restarts under load, each webhook sent once", order, began, figures, tuple(rows))


@asynccontextmanager
async def _stage(order: Order, name: str) -> AsyncIterator[Stage]:
    folder = order.folder / name
    sections = {"worker": {"concurrency": 20}}
    async with stage(folder, *ALWAYS, after_s=0.05, seed=order.seed, **sections) as scene:
        yield scene


async def _restarted(scene: Stage, times: int, *, held: bool) -> Traffic:
    traffic, over = Traffic(), asyncio.Event()
    daemon, door = scene.daemon(server={"port": _free_port()}), HeldSocket() if held else None
    notify = NotifySocket(scene.folder / "notify")
    daemon.held, daemon.environment = door, {"NOTIFY_SOCKET": str(notify.path)}
    try:
        await _start(daemon, notify)
        senders = [asyncio.create_task(_send(scene, daemon.url, traffic, over, number)) for number in range(SENDERS)]
        for _ in range(times):
            await asyncio.sleep(scene.rng.uniform(*BETWEEN_S))
            began = time.monotonic()
            traffic.ends[await daemon.terminate()] += 1
            await notify.until("STOPPING=1")
            await _start(daemon, notify)
            traffic.lives_s.append(time.monotonic() - began)
        over.set()
        await asyncio.gather(*senders)
    finally:
        over.set()
        notify.close()
        if door is not None:
            door.close()
    return traffic


async def _start(daemon: DaemonProcess, notify: NotifySocket) -> None:
    await daemon.start()
    await notify.until("READY=1")


async def _send(scene: Stage, url: str, traffic: Traffic, over: asyncio.Event, number: int) -> None:
    """One sender's webhooks, one after the other."""
    sent = number
    connector = aiohttp.TCPConnector(force_close=bool(number % 2))
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        while not over.is_set():
            [contact] = people(scene.sandbox, 1, start=sent)
            sent += SENDERS
            body = contact_event("ContactCreate", contact)
            headers = signed_headers(body, scene.sandbox.keys.sign)
            began = time.monotonic()
            try:
                async with session.post(f"{url}/webhooks/ghl", data=body, headers=headers) as answer:
                    if answer.status == 202:
                        scene.accepted[contact.contact_id] = str((await answer.json())["job_id"])
                        traffic.seconds.append(time.monotonic() - began)
                    else:
                        traffic.missed[str(answer.status)] += 1
            except (aiohttp.ClientError, OSError) as error:
                traffic.missed[type(error).__name__] += 1
            await asyncio.sleep(max(0.0, began + SENDERS / PER_S * scene.rng.uniform(0.5, 1.5) - time.monotonic()))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _row(door: str, traffic: Traffic) -> tuple[str, ...]:
    missed = ", ".join(f"{what} {times}" for what, times in traffic.missed.most_common())
    return (
        door, str(len(traffic.seconds) + traffic.missed.total()),
        f"{traffic.missed.total()}" + (f" ({missed})" if missed else ""),
        f"{1000 * traffic.slower_s(0.5):.0f} ms", f"{1000 * traffic.slower_s(0.01):.0f} ms",
        f"{1000 * max(traffic.seconds):.0f} ms", str(sum(it >= LONG_S for it in traffic.seconds)),
    )  # fmt: skip
