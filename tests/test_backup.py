"""A backup of a working queue, put back elsewhere: nothing that was answered is missing, nothing is written twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from daemon_process import DaemonProcess, look_ups, new_sandbox, people, process, settings_for, until, writes
from redis_server import RedisServer, running

from leadenrich.sandbox.crm import FakeContact
from leadenrich.sandbox.events import contact_event
from leadenrich.sandbox.server import Sandbox

SCRIPT = Path(__file__).parents[1] / "systemd" / "redis-backup.sh"
SLOTS = 3
ALWAYS = ("--appendfsync", "always")
# It would write its file anew all the time, were it not kept from it.
REWRITING = ("--auto-aof-rewrite-min-size", "1kb", "--auto-aof-rewrite-percentage", "10")

HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)

pytestmark = pytest.mark.skipif(shutil.which("redis-cli") is None, reason="the backup asks Redis by redis-cli")


async def script(redis: RedisServer, target: Path, *options: str, path: str = "") -> tuple[int | None, str]:
    """Its exit status and what it said. `path`: a folder whose commands it takes before all others."""
    child = await asyncio.create_subprocess_exec(
        SCRIPT, target, "-p", str(redis.port), *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PATH": f"{path}:{os.environ['PATH']}"},
    )  # fmt: skip
    said, _ = await child.communicate()
    return child.returncode, said.decode()


async def backed_up(redis: RedisServer, target: Path) -> None:
    status, said = await script(redis, target)
    assert (status, said) == (0, "")


def setting(redis: RedisServer, name: str) -> str:
    argv = ["redis-cli", "-p", str(redis.port), "config", "get", name]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout.split()[1]


class Gate:
    """Holds back every PUT to HighLevel while it is shut."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.held = 0

    def middleware(self) -> Any:
        @web.middleware
        async def hold(request: web.Request, handler: Any) -> web.StreamResponse:
            if request.method == "PUT" and not self.open.is_set():
                self.held += 1
                await self.open.wait()
            answer: web.StreamResponse = await handler(request)
            return answer

        return hold


async def tell(daemon: DaemonProcess, contact: FakeContact) -> str:
    """Of an hour ago, as after a restore: what an event told is taken for how the contact is for a minute only."""
    status, answer = await daemon.hook(contact_event("ContactCreate", contact, now=HOUR_AGO))
    assert status == 202, answer
    return str(answer["job_id"])


async def tell_each(daemon: DaemonProcess, contacts: Sequence[FakeContact]) -> dict[str, FakeContact]:
    return {await tell(daemon, contact): contact for contact in contacts}


class Load:
    """Delivers one new contact after the other until it is stopped."""

    def __init__(self, daemon: DaemonProcess, contacts: Sequence[FakeContact]) -> None:
        self.answered: dict[str, FakeContact] = {}
        self._daemon = daemon
        self._left = list(contacts)
        self._stopped = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._stopped:
            contact = self._left.pop()
            self.answered[await tell(self._daemon, contact)] = contact
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._stopped = True
        await self._task


def look_ups_of(sandbox: Sandbox, contacts: Iterable[FakeContact]) -> set[int]:
    """How often each one's house was bought."""
    count = Counter(call.body["house"] for call in look_ups(sandbox))
    return {count[str(contact.details["address1"]).split()[0]] for contact in contacts}


def unpacked(backup: Path, folder: Path) -> None:
    with tarfile.open(backup) as archive:
        archive.extractall(folder, filter="data")


async def test_a_working_queue_goes_on_elsewhere(tmp_path: Path) -> None:
    """Three leads are being written, five wait, more come in all the time: then the copy is made.

    What the first machine did after it is not in it. It is done again, as far as nobody sees it: what waited then is
    bought again, and what stands in HighLevel already is not written again.
    """
    gate, backup = Gate(), tmp_path / "backup.tgz"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    async with new_sandbox(middlewares=[gate.middleware()]) as sandbox:
        done, held, waiting, more, late = (
            people(sandbox, count, start=400 * place) for place, count in enumerate((5, SLOTS, 5, 400, 1))
        )
        with running(tmp_path / "old", *ALWAYS, *REWRITING) as old:
            settings = settings_for(sandbox, old.url, worker={"concurrency": SLOTS, "name": "the-same"})
            async with process(sandbox, tmp_path / "first", settings) as first:
                await first.start()
                told = await tell_each(first, done)
                await first.ended(told)
                gate.open.clear()
                told |= await tell_each(first, held)
                await until(lambda: gate.held == SLOTS, "their records are bought, and they are being written")
                told |= await tell_each(first, waiting)
                load = Load(first, more)
                await until(lambda: len(load.answered) >= 20, "leads come in")
                told |= load.answered  # so far: these must be in it
                await backed_up(old, backup)
                assert len(load.answered) > 20, "they came in all the while"
                await load.stop()
                [missing] = await tell_each(first, late)
                gate.open.set()
                await first.ended(job_id for job_id, contact in told.items() if contact in (*held, *waiting))
                await first.kill()
            assert setting(old, "auto-aof-rewrite-percentage") == "10", "as it was before"
            old.kill()
        unpacked(backup, tmp_path / "new")
        with running(tmp_path / "new", *ALWAYS) as new:
            async with process(sandbox, tmp_path / "second", {**settings, "redis": {"url": new.url}}) as second:
                await second.start()
                jobs = await second.ended(told)
                assert {job["state"] for job in jobs} == {"SUCCEEDED"}
                await second.ended(await second.jobs())  # what came in while the copy was made
                assert (await second.get(f"/api/v1/jobs/{missing}"))[0] == 404
        assert look_ups_of(sandbox, [*done, *held]) == {1}, "what was bought before the copy"
        assert look_ups_of(sandbox, waiting) == {2}, "what was bought after it"
        written = {contact.contact_id: writes(sandbox, contact.contact_id) for contact in told.values()}
        assert set(map(tuple, written.values())) == {("PUT", "POST /tags")}


async def test_the_script_says_what_is_wrong_and_leaves_redis_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with running(tmp_path / "redis", "--appendonly", "no", *REWRITING) as redis:
        status, said = await script(redis, tmp_path / "backup.tgz")
        assert status == 1
        assert "is the append-only file on" in said
        status, said = await script(redis, tmp_path / "backup.tgz", "--user", "nobody", "--pass", "wrong")
        assert status == 1
        assert "WRONGPASS" in said or "does not tell" in said
        assert setting(redis, "auto-aof-rewrite-percentage") == "10"
    assert [path.name for path in tmp_path.iterdir()] == ["redis"], "no half backup, no copy"


async def test_no_copy_of_a_file_that_was_written_anew_meanwhile(tmp_path: Path) -> None:
    """Redis does not begin it by itself while the copy is made; where somebody does, the copy is thrown away."""
    (tmp_path / "redis").mkdir()
    (tmp_path / "bin").mkdir()
    cp, asked = tmp_path / "bin" / "cp", tmp_path / "asked"
    with running(tmp_path / "redis", *REWRITING) as redis:
        ask = f"redis-cli -p {redis.port}"
        cp.write_text(
            f'#!/bin/sh\n{shutil.which("cp")} "$@"\n{ask} config get auto-aof-rewrite-percentage >{asked}\n'
            f"{ask} bgrewriteaof >/dev/null\n"
            f"until {ask} info persistence | grep -q aof_rewrite_in_progress:0; do sleep 0.02; done\n"
        )
        cp.chmod(0o755)
        status, said = await script(redis, tmp_path / "backup.tgz", path=str(cp.parent))
        assert (status, "run it again" in said) == (1, True), said
        assert asked.read_text().split()[1] == "0"
        assert setting(redis, "auto-aof-rewrite-percentage") == "10"
        assert not list(tmp_path.glob("backup*"))
        await backed_up(redis, tmp_path / "backup.tgz")
