"""Who does the harm, and keeps up what was harmed."""

from __future__ import annotations

import asyncio
import random
import signal

from daemon_process import DaemonProcess, until

from chaos.stage import Stage, open_jobs

KILL_AFTER_S = (0.05, 0.6)  # after the daemon began a job


class Crew:
    """One to three daemons: who is killed is started again at once, or stays away for a while."""

    def __init__(self, fleet: list[DaemonProcess], rng: random.Random) -> None:
        self._fleet, self._rng = fleet, rng
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._away: list[tuple[DaemonProcess, int]] = []  # and for how many kills more

    def _up(self) -> list[DaemonProcess]:
        starting = {path for path, task in self._starting.items() if not task.done()}
        return [it for it in self._fleet if str(it.path) not in starting and it.running and it.said("ready")]

    async def victim(self) -> DaemonProcess:
        await until(self._up, "a daemon is up", within_s=60)
        victim = self._rng.choice(self._up())
        self._away.append((victim, self._rng.randrange(1, 8) if self._rng.random() < 0.15 else 0))
        return victim

    def mend(self) -> None:
        """Starts who is due; one at least is always on its way."""
        last = len(self._away) == len(self._fleet)
        self._away.sort(key=lambda one: one[1])
        still = []
        for number, (daemon, kills_more) in enumerate(self._away):
            if kills_more == 0 or (last and number == 0):
                self._starting[str(daemon.path)] = asyncio.create_task(_bring_up(daemon))
            else:
                still.append((daemon, kills_more - 1))
        self._away = still

    async def all_up(self) -> None:
        for daemon, _ in self._away:
            self._starting[str(daemon.path)] = asyncio.create_task(_bring_up(daemon))
        self._away = []
        await asyncio.gather(*self._starting.values())


async def _bring_up(daemon: DaemonProcess) -> None:
    """As systemd does: one that ends while it starts, because Redis was killed under it, is started again."""
    while True:
        await daemon.spawn()
        await until(lambda: daemon.said("ready") or not daemon.running, "ready, or the end", within_s=60)
        if daemon.running:
            daemon.url = str(daemon.said("ready")[0]["url"])
            return


async def kill_while_it_works(scene: Stage, daemon: DaemonProcess) -> None:
    await until(lambda: daemon.said("started"), "it works", within_s=30)
    await asyncio.sleep(scene.rng.uniform(*KILL_AFTER_S))
    await scene.kill(daemon)


async def sleep_in_a_job(scene: Stage, owner: DaemonProcess, seconds: float) -> int:
    """SIGSTOP while it has jobs in hand, SIGCONT later; how many it had."""
    while True:
        await until(lambda: scene.in_flight(owner), "it has jobs in hand", within_s=30)
        owner.signal(signal.SIGSTOP)
        if in_hand := await scene.in_flight(owner):
            break
        owner.signal(signal.SIGCONT)
    await asyncio.sleep(seconds)
    owner.signal(signal.SIGCONT)
    return in_hand


async def keep_it_up(scene: Stage, daemon: DaemonProcess, struck: asyncio.Event) -> int:
    """Starts it again whenever it died; how often it died, once all jobs have ended."""
    deaths = 0
    async with scene.views() as views:
        while True:
            struck.clear()
            await daemon.spawn()
            while daemon.running and (open_jobs(await views.stats()) or not daemon.said("ready")):
                await asyncio.sleep(0.05)
            if daemon.running:
                return deaths
            await daemon.exit_status()
            assert struck.is_set(), "".join(daemon.text)
            deaths += 1
            assert deaths <= 20, "it runs again and again"
