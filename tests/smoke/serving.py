"""The built daemon: on a real Redis, from its start to SIGTERM; and on a socket that somebody holds for it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon_process import ADMIN, DaemonProcess, new_sandbox, people, process, settings_for, until, writes
from held_socket import HeldSocket
from redis_server import free_port, running

from leadenrich.web.static_files import static_path
from smoke.program import Broken, Program

LISTENS_S_MAX = 1.0
STARTS = 5
BUSY = 1.5  # load of the last minute; our own is below 1


async def serve(program: Program) -> str:
    """A signed webhook is taken, its lead written to the contact; the commands see it; SIGTERM ends all of it."""
    async with _daemon(program) as daemon:
        await daemon.start()
        [contact] = people(daemon.sandbox, 1)
        job_id = await daemon.tell(contact)
        [job] = await daemon.ended([job_id])
        if (job["state"], job["outcome"]) != ("SUCCEEDED", "QUALIFIED") or not writes(
            daemon.sandbox, contact.contact_id
        ):
            raise Broken(f"the lead did not end as it must: {job}")
        for path in ("/", "/healthz", "/metrics", "/openapi.json", static_path("htmx.min.js")):
            await _found(daemon, path)
        await asyncio.to_thread(_operate, program, daemon.path, job_id, contact.contact_id)
        await _ended_cleanly(program, daemon)
    return "a lead is taken and written, the commands see it, SIGTERM ends all of it"


async def starts(program: Program) -> str:
    """From the call to the first connection that is taken: what a restart costs.

    On a machine with other work any start is slow, and takes more of a processor that is shared: it is told then, and
    only twice that time at work is judged.
    """
    taken: list[float] = []
    used: list[float] = []
    async with _daemon(program) as daemon:
        for _ in range(STARTS):
            begun = time.monotonic()
            await daemon.spawn()
            await until(lambda: _listens(daemon) or not daemon.running, "listening")
            taken.append(time.monotonic() - begun)
            used.append(sum(_processor_s(pid) for pid in _processes(daemon)))
            await until(lambda: daemon.said("ready") or not daemon.running, "ready")
            await _ended_cleanly(program, daemon)
    busy = os.getloadavg()[0] > BUSY
    told = (
        f"{statistics.median(taken):.2f} s to listening (median of {STARTS}; {min(taken):.2f} to {max(taken):.2f}), "
        f"{statistics.median(used):.2f} s of it at work; at most {LISTENS_S_MAX}"
    )
    if min(used) > 2 * LISTENS_S_MAX or (min(taken) > LISTENS_S_MAX and not busy):
        raise Broken(told)
    return f"{told}{', not judged: the machine has other work' if busy else ''}"


async def held_socket(program: Program) -> str:
    """A webhook that came before the daemon, on a socket as systemd hands it over, is answered."""
    held = HeldSocket()
    try:
        async with _daemon(program) as daemon:
            daemon.held, daemon.url = held, held.url
            [contact] = people(daemon.sandbox, 1)
            early = asyncio.create_task(daemon.tell(contact))
            await daemon.start()
            daemon.url = held.url
            await daemon.ended([await early])
            await _ended_cleanly(program, daemon)
            with socket.create_connection(held.socket.getsockname()[:2], timeout=5):
                pass  # it is still held for the next one
    finally:
        held.close()
    return "a webhook sent before the start is answered, and the socket outlives the daemon"


@asynccontextmanager
async def _daemon(program: Program) -> AsyncIterator[DaemonProcess]:
    """Not started yet, with both fake vendors, a real Redis and a port of its own."""
    folder = program.folder / f"daemon-{time.monotonic_ns()}"
    folder.mkdir()
    with running(folder) as redis:
        async with new_sandbox() as sandbox:
            settings = settings_for(sandbox, redis.url, server={"port": free_port()})
            async with process(sandbox, folder, settings) as daemon:
                daemon.program = (str(program.path),)
                daemon.environment = program.environment
                try:
                    yield daemon
                finally:
                    if daemon.running:  # the one file's is a parent: killed, it would leave its child behind
                        await daemon.terminate()


def _listens(daemon: DaemonProcess) -> bool:
    port = int(daemon.path.read_text().partition("port = ")[2].split()[0])
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def _processes(daemon: DaemonProcess) -> list[int]:
    """The daemon's, and the child's where the one file has one."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text()
    return [daemon.pid, *map(int, children.split())]


def _processor_s(pid: int) -> float:
    """Processor time so far, user's and system's. Source: proc(5)."""
    after_the_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_the_name[11]) + int(after_the_name[12])) / os.sysconf("SC_CLK_TCK")


async def _found(daemon: DaemonProcess, path: str) -> None:
    async with daemon.session.get(daemon.url + path, headers={"Authorization": f"Bearer {ADMIN}"}) as answer:
        body = await answer.read()
        if answer.status != 200 or not body:
            raise Broken(f"GET {path}: {answer.status}")


def _operate(program: Program, config: Path, job_id: str, contact_id: str) -> None:
    """Every command that speaks to Redis or the vendors, once."""
    leads = program.folder / "leads.csv"
    leads.write_text("contact id,address,city,state,zip\nContact00000,100 Maple St,Springfield,IL,62704\n")
    calls: list[tuple[Any, ...]] = [
        ("jobs", "show", job_id), ("jobs", "list"), ("queue", "status"), ("providers", "list"), ("status",),
        ("doctor", "--json"), ("setup", "--yes"), ("import", str(leads), "--dry-run"), ("backfill", "--dry-run"),
        ("erase", contact_id, "--yes"),
    ]  # fmt: skip
    for call in calls:
        program.run(*call, "--config", str(config))


async def signalled_twice(program: Program) -> str:
    """As a terminal does it at Ctrl-C, and systemd: each process gets the signal, and the parent hands its own on."""
    async with _daemon(program) as daemon:
        await daemon.start()
        _, *children = _processes(daemon)
        daemon.signal(signal.SIGTERM)
        await until(lambda: daemon.said("ending"), "the end's begin")
        for pid in children:
            os.kill(pid, signal.SIGTERM)
        status = await daemon.exit_status()
        if status != 0 or daemon.said("forced"):
            raise Broken(f"status {status}\n{''.join(daemon.text)[-2000:]}")
    return f"a SIGTERM to all of its processes ({1 + len(children)}) is one"


async def _ended_cleanly(program: Program, daemon: DaemonProcess) -> None:
    status = await daemon.terminate()
    left = [path.name for path in program.temporary.glob("_MEI*")]  # what the one file unpacked
    if status != 0 or left:
        raise Broken(f"SIGTERM: status {status}, left in the temporary folder: {left}\n{''.join(daemon.text)[-2000:]}")
