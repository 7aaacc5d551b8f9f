"""What the rules demand of Redis around a whole daemon: its least user, its memory, its silence, what it would lose."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from daemon_process import Inside, as_toml, inside, new_sandbox, people, settings_for, until
from redis import Redis
from redis_server import RedisServer, running

from leadenrich.config import RedisSettings, load
from leadenrich.doctor import examine
from leadenrich.sandbox.events import contact_event
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.connection import open_redis
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.switches import Switches

ROOT: Final = Path(__file__).parents[1]
ACL: Final = ROOT / "systemd" / "redis-leadenrich-acl.conf"
PASSWORD: Final = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with new_sandbox() as opened:
        yield opened


@contextmanager
def another(folder: Path, *options: str) -> Iterator[RedisServer]:
    folder.mkdir()
    with running(folder, *options) as server:
        yield server


# --- the least user --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis with the shipped file's users; the address of ours."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "acl.conf").write_text(ACL.read_text("utf-8").replace("CHANGE-ME", PASSWORD))
    with running(folder, "--include", str(folder / "acl.conf")) as server:
        yield server.url.replace("//", f"//leadenrich:{PASSWORD}@")


async def test_the_daemon_lives_with_the_shipped_user_alone(locked: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Leads of every end, a retry, a shared pace, a pause and its end, each verb of an operator: no NOPERM anywhere."""
    settings = settings_for(
        sandbox, locked, worker={"rate_scope": "shared", "rate_per_second": 100}, ghl={"notes": True}
    )
    contacts = people(sandbox, 6)
    gone, refused = people(sandbox, 2, start=50)
    del sandbox.ghl.contacts[gone.contact_id]
    refused.details["address1"] = "PO Box 5"
    sandbox.faults.add(Fault("server_error"), match=Match(path="PropertyDetail"))
    async with inside(sandbox, tmp_path, settings) as daemon:
        jobs = await daemon.ended([await daemon.tell(contact) for contact in (*contacts, gone, refused)])
        assert {job["state"] for job in jobs} == {"SUCCEEDED", "FAILED_FINAL"}
        assert await daemon.hook(contact_event("ContactDelete", gone)) == (200, {"ignored": "contact deleted"})
        await operate(daemon, jobs)
        assert (await daemon.get("/readyz"))[0] == 200
        said = daemon.log.getvalue()
    assert "NOPERM" not in said
    assert "permission" not in said.lower()


async def operate(daemon: Inside, jobs: list[dict[str, Any]]) -> None:
    queue, connection = daemon.running.queue, daemon.running.connection
    switches = Switches(connection, queue.keys)
    await switches.pause_queue("to look at something")
    [waiting] = people(daemon.sandbox, 1, start=90)
    job_id = await daemon.tell(waiting)
    await queue.cancel(job_id, by="ops")
    failed = next(job for job in jobs if job["state"] == "FAILED_FINAL")
    await queue.revive(failed["id"], by="ops")
    await switches.pause_provider("realestateapi", "operator", "to see")
    await switches.resume_provider("realestateapi", why="seen")
    await switches.resume_queue()
    await daemon.ended([failed["id"]])
    assert len(await daemon.jobs()) == len(jobs) + 1
    assert (await daemon.get("/api/v1/stats"))[0] == 200


def test_every_command_of_the_scripts_is_that_user_s() -> None:
    """A path that no other test walks would fail in production only."""
    scripts = (ROOT / "leadenrich" / "store" / "lua").glob("*.lua")
    used = {name for path in scripts for name in re.findall(r"redis\.p?call\(\s*[\"'](\w+)", path.read_text("utf-8"))}
    [line] = re.findall(r"^user leadenrich .*$", ACL.read_text("utf-8"), re.MULTILINE)
    assert len(used) > 20
    assert not sorted(name for name in used if f"+{name.lower()}" not in line.split())


def test_every_command_of_the_store_is_that_user_s() -> None:
    """SCAN is told where it is missing; the rest of a Cluster's is named in the file's head."""
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "leadenrich" / "store").glob("*.py"))
    sent = re.findall(r'(?:execute|execute_command|block|ask|run)\(\s*"([A-Z]+)"(?:, "([A-Z]+)")?', text)
    used = {"|".join(filter(None, words)) for words in sent} - {"XREAD|COUNT"} | {"XREAD"}
    used |= {name.upper() for name in re.findall(r"pipeline\.(\w+)\(", text)} - {"EXECUTE", "RESET"}
    acl = ACL.read_text("utf-8")
    [line] = re.findall(r"^user leadenrich .*$", acl, re.MULTILINE)
    allowed = {word.removeprefix("+").upper() for word in line.split() if word.startswith("+")}
    assert len(used) > 30
    assert used - allowed == {"SCAN", "ASKING", "CLUSTER|SLOTS"}
    assert {"+asking", "+cluster|slots"} <= set(re.findall(r"\+[a-z|]+", acl))


@pytest.mark.parametrize("missing", ["+evalsha", "+lpop"])
async def test_a_missing_permission_is_told_with_the_way_out_and_ends_nobody(
    missing: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """At the door, or inside of a script: the sender comes again, /readyz says what to change, and then it goes on."""
    users = ACL.read_text("utf-8").replace("CHANGE-ME", PASSWORD).replace(f" {missing} ", " ")
    (tmp_path / "acl.conf").write_text(f"{users}\nuser admin on >{PASSWORD} ~* +@all\n")
    with another(tmp_path / "redis", "--include", str(tmp_path / "acl.conf")) as server:
        url = server.url.replace("//", f"//leadenrich:{PASSWORD}@")
        async with inside(sandbox, tmp_path, settings_for(sandbox, url)) as daemon:
            [contact] = people(sandbox, 1)
            event = contact_event("ContactCreate", contact)
            status, answer = await daemon.hook(event)
            assert status == (429 if missing == "+evalsha" else 202)

            async def told() -> bool:
                status, report = await daemon.get("/readyz")
                return status == 503 and "systemd/redis-leadenrich-acl.conf" in str(report["worker"]["problems"])

            await until(told, "what to change, on /readyz")
            assert "systemd/redis-leadenrich-acl.conf" in str(daemon.said("redis_refuses"))
            allow(server, missing)
            status, answer = await daemon.hook(event)
            assert status in (200, 202)
            [job] = await daemon.ended([answer["job_id"]])
            assert job["state"] == "SUCCEEDED"


def allow(server: RedisServer, command: str) -> None:
    """As an administrator would; the daemon's own user may not."""
    with Redis(port=server.port, username="admin", password=PASSWORD) as admin:
        admin.execute_command("ACL SETUSER", "leadenrich", command)


async def test_the_doctor_can_tell_everything_as_that_user(locked: str, sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(as_toml(settings_for(sandbox, locked)))
    found = await examine(load(path, {}).config, [], now_ms=lambda: 0)
    told = {finding.what: finding.found for finding in found if finding.what.startswith("Redis")}
    assert "last second or two" in told["Redis appendfsync"]
    assert told["Redis maxmemory-policy"] == "noeviction"
    assert PASSWORD not in str(found)


@pytest.mark.parametrize(
    "command",
    [
        ("KEYS", "*"), ("SCAN", "0"), ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "SET", "dir", "/tmp"), ("OBJECT", "HELP"),
        ("SHUTDOWN",), ("SAVE",), ("ACL", "LIST"), ("CLIENT", "KILL", "ID", "1"), ("REPLICAOF", "NO", "ONE"),
        ("MODULE", "LIST"), ("MONITOR",), ("GET", "somebody-elses"), ("SET", "somebody-elses", "1"),
        ("EVAL", "return redis.call('GET', 'somebody-elses')", "0"), ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("SUBSCRIBE", "anything"), ("PUBLISH", "anything", "1"),
    ],
    ids=" ".join,
)  # fmt: skip
async def test_that_user_can_do_nothing_else(command: tuple[str, ...], locked: str) -> None:
    async with open_redis(RedisSettings(url=locked)) as redis:
        await redis.execute("SET", "le:{somewhere}:x", "1")
        with pytest.raises(
            Exception, match=r"NOPERM|[Nn]o permission|has no permissions|can't (run|access)|ACL failure"
        ):
            await redis.execute(*command)


async def test_without_its_password_nobody_gets_in(locked: str) -> None:
    for url in (re.sub(r"leadenrich:\w+@", "", locked), locked.replace(PASSWORD, "guessed")):
        with pytest.raises(StoreUnavailable, match=r"[Aa]uthentication|invalid username-password|NOAUTH"):
            async with open_redis(RedisSettings(url=url, connect_timeout=0.1)):
                pass


# --- its memory, its silence, what it would lose ---------------------------------------------------------------------


async def test_short_of_memory_no_lead_is_taken_and_it_shows(tmp_path: Path, sandbox: Sandbox) -> None:
    with another(tmp_path / "redis") as server:
        async with open_redis(RedisSettings(url=server.url)) as redis:
            limit = round((await redis.memory()).used / 0.9)
            await redis.execute("CONFIG", "SET", "maxmemory", limit)
            async with inside(sandbox, tmp_path, settings_for(sandbox, server.url)) as daemon:
                [contact] = people(sandbox, 1)
                event = contact_event("ContactCreate", contact)
                status, _ = await daemon.hook(event)
                assert status == 429
                status, report = await daemon.get("/readyz")
                assert (status, report["worker"]["ready"]) == (503, True)
                assert "no new leads are taken" in report["web"]["problems"]["store"]
                await redis.execute("CONFIG", "SET", "maxmemory", 0)
                assert (await daemon.hook(event))[0] == 202


async def test_a_silent_redis_is_answered_for_within_its_time(tmp_path: Path, sandbox: Sandbox) -> None:
    """It hangs, connections open, no error: the sender hears 429 while it still listens."""
    with another(tmp_path / "redis") as server:
        assert server.process is not None
        async with inside(sandbox, tmp_path, settings_for(sandbox, server.url, queue={"lease": 30.0})) as daemon:
            [contact] = people(sandbox, 1)
            event = contact_event("ContactCreate", contact)
            server.process.send_signal(signal.SIGSTOP)
            try:
                began = time.monotonic()
                status, _ = await daemon.hook(event)
                seconds = time.monotonic() - began
            finally:
                server.process.send_signal(signal.SIGCONT)
            assert status == 429
            assert seconds < 3.0
            status, answer = await daemon.hook(event)
            assert status in (200, 202)
            [job] = await daemon.ended([answer["job_id"]])
            assert len(await daemon.jobs()) == 1
            assert job["state"] == "SUCCEEDED"


async def test_what_a_power_cut_can_cost_stays_in_sight(
    redis_server: RedisServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Not only once in the log of the start: the note stays on /readyz, and nobody is unready for it."""
    settings = settings_for(sandbox, redis_server.url, queue={"name": "in-sight", "lease": 1.0})
    async with inside(sandbox, tmp_path, settings) as daemon:
        await until(lambda: "redis" in daemon.running.health.report_now().notes, "the first look at Redis")
        status, report = await daemon.get("/readyz")
    assert status == 200
    assert "a power cut can cost the last second or two of acknowledged leads" in report["notes"]["redis"]
