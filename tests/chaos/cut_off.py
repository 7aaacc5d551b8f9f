"""Three daemons in network namespaces of their own; one after the other is cut off from everything and comes back.

The whole run is in a namespace of its own (`unshare --net`), so that nothing of it reaches the machine's network.
Redis and vendors listen on a bridge there. Its addresses are of 127/8, since plain http goes to a loopback address
only; `route_localnet` lets them travel over the wires.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from daemon_process import DaemonProcess, until
from redis_server import running

from chaos.costs import runs_of, what_it_cost
from chaos.figures import Findings, at_most, exactly, told
from chaos.order import Order, findings
from chaos.stage import ALWAYS, Kill, Stage, address_key, dead_owners, stage_on
from chaos.topologies import alive, leads_keep_coming
from leadenrich.store.views import JobView

NAME, TITLE = "netns", "One of three machines is cut off and comes back"
HUB = "127.77.0.1"
LEASE_S = 3.0
HEARD_S = 0.2
CALL_S = 2.0  # shorter than a lease, as by default: what lies in a dead wire is given up before another takes over


async def netns(order: Order) -> Findings:
    """Hands the run over to a process in a network namespace of its own."""
    began = time.monotonic()
    if why := why_not():
        return findings(NAME, TITLE, order, began, (told("not run here", why),))
    command = ["unshare", "--net", sys.executable, "-m", "chaos.cut_off", str(order.folder), str(order.seed)]
    process = await asyncio.create_subprocess_exec(
        *command, *(["--quick"] if order.quick else []), stdout=asyncio.subprocess.PIPE
    )
    told_us, _ = await process.communicate()
    assert process.returncode == 0, "the run in its namespace broke"
    return msgspec.json.decode(told_us, type=Findings)


def why_not() -> str:
    """Why there can be no namespaces here; "" where there can."""
    if missing := [name for name in ("ip", "unshare", "sysctl") if shutil.which(name) is None]:
        return f"no {', '.join(missing)}"
    tried = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    return tried.stderr.strip().splitlines()[-1] if tried.returncode else ""


async def cut_off(order: Order) -> Findings:
    """Each cut is longer than a lease, so that what the one had in hand goes on elsewhere, and then it comes back."""
    cuts, began = (2 if order.quick else 10), time.monotonic()
    rng, redis_folder = random.Random(order.seed), order.folder / "redis"
    redis_folder.mkdir(parents=True)
    names = [f"le-{os.getpid()}-{number}" for number in (1, 2, 3)]
    with wires(names), running(redis_folder, *ALWAYS, "--bind", "127.0.0.1", HUB, "--protected-mode", "no") as redis:
        redis.url = f"redis://{HUB}:{redis.port}/0"
        async with stage_on(
            redis, order.folder, after_s=0.05, seed=order.seed, vendors_at=HUB, queue={"lease": LEASE_S},
            realestateapi={"timeout": CALL_S}, ghl={"timeout": CALL_S},
        ) as scene:  # fmt: skip
            fleet = [plugged_in(scene, name, number) for number, name in enumerate(names, 2)]
            await asyncio.gather(*(daemon.start() for daemon in fleet))
            in_flight, on_again = 0, []
            async with leads_keep_coming(scene):
                for _ in range(cuts):
                    await asyncio.sleep(rng.uniform(0.5, 1.5))
                    victim = rng.choice(fleet)
                    in_flight += await cut(scene, victim, rng.uniform(1.5, 4.0) * LEASE_S)
                    back, mine = time.monotonic(), len(victim.said("completed"))
                    await until(lambda: len(victim.said("completed")) > mine, "it works again", within_s=60)  # noqa: B023
                    on_again.append(time.monotonic() - back)
            await scene.all_done(within_s=120)
            found = await scene.jobs()
            late = came_late(scene, found, fleet)
            unjustified = scene.book.unjustified(scene.kills, found.values())
            figures = (
                told("cuts of a lease and a half to four", cuts),
                told("leads, answers 429 or none, sent again", f"{len(found)}, {scene.refusals}"),
                told("jobs in hand at the cuts", in_flight),
                *what_it_cost(scene, found),
                exactly("look-ups that reached the vendor from who had lost the lead", len(late), 0),
                exactly("unjustified look-ups", len(unjustified), 0),
                at_most("bought twice", scene.book.bought_again(), in_flight, because="jobs in hand at the cuts"),
                told("worst runs of one job", max(runs_of(job) for job in found.values() if job)),
                at_most("the wire back to a lead ended there", max(on_again), 15, unit=" s"),
                alive(scene),
            )
    return findings(NAME, TITLE, order, began, figures)


def plugged_in(scene: Stage, name: str, number: int) -> DaemonProcess:
    daemon = scene.daemon(name, server={"host": f"127.77.0.{number}"})
    daemon.program = ("ip", "netns", "exec", name, *daemon.program)
    return daemon


async def cut(scene: Stage, victim: DaemonProcess, seconds: float) -> int:
    """Its wire is dead for so long, and nobody is told; how many jobs it had in hand.

    A look-up on its way at that moment may have reached the vendor without an answer coming through, as at a kill.
    """
    name = victim.path.parent.name
    in_hand = await scene.in_flight(victim)
    scene.kills.append(Kill(time.monotonic(), name))
    ip("link", "set", f"v{name}", "down")
    in_hand = max(in_hand, await scene.in_flight(victim))
    await asyncio.sleep(HEARD_S)
    scene.kills.append(Kill(time.monotonic(), name))  # by now the vendors, in this loop, have read what had arrived
    await asyncio.sleep(seconds)
    scene.kills.append(Kill(time.monotonic(), name))
    ip("link", "set", f"v{name}", "up")
    return in_hand


def came_late(scene: Stage, found: dict[str, JobView | None], fleet: list[DaemonProcess]) -> set[str]:
    """Addresses whose later look-up came from who had lost the lead in a cut: sent before it, delivered after it."""
    addresses = {f"127.77.0.{number}": daemon.path.parent.name for number, daemon in enumerate(fleet, 2)}
    return {
        key
        for job in found.values()
        if job is not None
        for key in [address_key(job)]
        for later in scene.book.purchases.get(key, [])[1:]
        if addresses[later.sender] in dead_owners(job)
    }


@contextmanager
def wires(names: list[str]) -> Iterator[None]:
    """A bridge, and to each namespace a pair of devices: v<name> at the bridge, eth0 inside."""
    only_one("lo")
    ip("link", "add", "hub", "type", "bridge")
    ip("addr", "add", f"{HUB}/24", "dev", "hub")
    ip("link", "set", "hub", "up")
    local("all", "hub")
    try:
        for number, name in enumerate(names, 2):
            ip("netns", "add", name)
            ip("link", "add", f"v{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"v{name}", "master", "hub", "up")
            only_one("lo", "ip", "netns", "exec", name)
            ip("-n", name, "addr", "add", f"127.77.0.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            local("all", "eth0", within=("ip", "netns", "exec", name))
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def only_one(device: str, *within: str) -> None:
    """Of 127/8 the loopback keeps one address: the rest is out on the wires."""
    for what in (("link", "set", device, "up"), ("addr", "add", "127.0.0.1/32", "dev", device)):
        done = subprocess.run([*within, "ip", *what], capture_output=True, text=True)
        assert done.returncode == 0 or "exists" in done.stderr, done.stderr
    subprocess.run([*within, "ip", "addr", "del", "127.0.0.1/8", "dev", device], check=True, capture_output=True)


def local(*devices: str, within: tuple[str, ...] = ()) -> None:
    settings = [f"net.ipv4.conf.{device}.route_localnet=1" for device in devices]
    subprocess.run([*within, "sysctl", "-qw", *settings], check=True, capture_output=True)


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


if __name__ == "__main__":
    folder, seed, *flags = sys.argv[1:]
    result = asyncio.run(cut_off(Order(Path(folder), int(seed), "--quick" in flags)))
    sys.stdout.buffer.write(msgspec.json.encode(result))
