"""What is known of a person ends: by `leadenrich erase` at once, by itself with its retention. Every key is read."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from daemon_process import ADMIN, Inside, Settings, inside, new_sandbox, settings_for, until
from redis_server import RedisServer

from leadenrich.cli import main
from leadenrich.config import RedisSettings
from leadenrich.core.lead import PostalAddress
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.payload import Unreadable, unpack
from leadenrich.store.schema import Keys
from leadenrich.store.spool_file import HEADER

FIRST, LAST, EMAIL, PHONE, STREET = "Canarina", "Canarinsky", "canary.person@example.org", "+12175550199", "Canary Cage"
CONTACT: Final = "CanaryContact00001"
TRACES: Final = (CONTACT, FIRST, LAST, EMAIL, "2175550199", STREET)


# --- looking into every key -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """A text that stands somewhere in a key: its name, a field, a member, a value; unpacked where it was packed."""

    key: str
    text: str

    @property
    def kind(self) -> str:
        """The key's name without ids and hashes."""
        return re.sub(r"^le:\{[^}]*\}:?|:[^:]{12,}.*|:.*", "", self.key) or self.key.partition(":")[2].partition(":")[0]


READ: Final[Mapping[bytes, tuple[Any, ...]]] = {
    b"string": ("GET",), b"hash": ("HGETALL",), b"list": ("LRANGE", 0, -1), b"zset": ("ZRANGE", 0, -1),
    b"stream": ("XRANGE", "-", "+"), b"set": ("SMEMBERS",),
}  # fmt: skip


async def everything(connection: Connection) -> list[Held]:
    """Raises: KeyError for a type of key that nobody looks into yet."""
    found = []
    for key in await connection.execute("KEYS", "*"):
        kind = await connection.execute("TYPE", key)
        if kind == b"none":  # its time was over meanwhile
            continue
        command, *rest = READ[kind]
        value = await connection.execute(command, key, *rest)
        found += [Held(key.decode(), text) for text in (key.decode(), *_texts(value))]
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, bytes):
        yield from (inner.decode("utf-8", "replace") for inner in _unpacked(value))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(name)
            yield from _texts(inner)
    elif isinstance(value, list | tuple | set):
        for inner in value:
            yield from _texts(inner)


def _unpacked(value: bytes) -> Iterator[bytes]:
    yield value
    with suppress(Unreadable):
        yield repr(unpack(value)).encode()
    with suppress(zlib.error):
        yield zlib.decompress(value)


def traces(held: list[Held], words: tuple[str, ...] = TRACES) -> dict[str, set[str]]:
    """By kind of key, what of the person stands in it."""
    found: dict[str, set[str]] = {}
    for it in held:
        plain = re.sub(r"[^0-9a-z@.]", "", it.text.casefold())
        for word in words:
            if re.sub(r"[^0-9a-z@.]", "", word.casefold()) in plain:
                found.setdefault(it.kind, set()).add(word)
    return found


# --- a person's whole life --------------------------------------------------------------------------------------------


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with new_sandbox() as opened:
        yield opened


@pytest.fixture
async def connection(redis_server: RedisServer) -> AsyncIterator[Connection]:
    async with open_redis(RedisSettings(url=redis_server.url)) as opened:
        await opened.execute("FLUSHALL")
        yield opened


def at(number: int) -> PostalAddress:
    return PostalAddress(f"{number} {STREET} Ct", "Springfield", "IL", "62704")


def moved(sandbox: Sandbox, number: int) -> dict[str, Any]:
    """The contact has another address now: what a workflow tells of it."""
    sandbox.ghl.contacts[CONTACT].details["address1"] = at(number).line1
    return {
        "contact_id": CONTACT, "first_name": FIRST, "last_name": LAST, "full_name": f"{FIRST} {LAST}", "email": EMAIL,
        "phone": PHONE, "address1": at(number).line1, "city": "Springfield", "state": "IL", "postal_code": "62704",
        "location": {"id": sandbox.location_id}, "workflow": {"id": f"flow-of-{FIRST}", "name": f"for {EMAIL}"},
    }  # fmt: skip


async def ends(daemon: Inside, connection: Connection) -> str:
    """Enriched; failed, with the address in the error; enriched after it came in while Redis was full.

    Answers the id of the first job.
    """
    sandbox = daemon.sandbox
    first = await daemon.tell(sandbox.ghl.contacts[CONTACT])
    await daemon.ended([first])
    repeated = json.dumps({"message": f"zip of 7 {STREET} CT for {EMAIL} is not known"})
    sandbox.faults.add(Fault("status", status=400, body=repeated), match=Match(path="PropertyDetail"))
    status, answer = await daemon.workflow(moved(sandbox, 7))
    assert status == 202
    [failed] = await daemon.ended([answer["job_id"]])
    assert failed["state"] == "FAILED_FINAL"
    await connection.execute("CONFIG", "SET", "maxmemory", "1")
    status, spooled = await daemon.workflow(moved(sandbox, 8))
    assert spooled["spooled"]
    await connection.execute("CONFIG", "SET", "maxmemory", "0")
    await until(lambda: daemon.said("spool_drained"), "Redis has what was spooled")
    await daemon.ended([spooled["job_id"]])
    return first


async def goes_on(daemon: Inside, first: str) -> None:
    """A lead that will be tried again, and an operator who looks for the person."""
    daemon.sandbox.faults.add(Fault("server_error"), times=None, match=Match(path="PropertyDetail"))
    headers = {"Authorization": f"Bearer {ADMIN}", "Idempotency-Key": f"{EMAIL} {PHONE}", "X-Operator": "ada", **JSON}
    lead = {**moved(daemon.sandbox, 9), "location_id": daemon.sandbox.location_id}
    status, answer, _ = await daemon.post("/api/v1/leads", json.dumps(lead).encode(), headers)
    assert status == 202, answer
    await until(lambda: retries(daemon, answer["job_id"]), "it will be tried again")
    for path, said in (
        ("/api/v1/jobs/retry", {"q": f"{FIRST} {LAST}"}), ("/api/v1/jobs/retry", {"contact": CONTACT}),
        (f"/api/v1/jobs/{first}/retry", {}), ("/api/v1/queue/pause", {"reason": "lunch"}), ("/api/v1/queue/resume", {}),
    ):  # fmt: skip
        await daemon.post(path, json.dumps(said).encode(), headers)


JSON: Final = {"Content-Type": "application/json"}


async def retries(daemon: Inside, job_id: str) -> bool:
    return bool((await daemon.job(job_id))["state"] == "RETRY_SCHEDULED")


def all_of(sandbox: Sandbox, redis: RedisServer, spool: Path, **queue: float) -> Settings:
    sandbox.ghl.add_contact(
        CONTACT, sandbox.location_id, address=at(6), first_name=FIRST, last_name=LAST, email=EMAIL, phone=PHONE
    )
    queue |= {"backoff_delay": 3600.0, "lease": 5.0}
    return settings_for(sandbox, redis.url, server={"spool": str(spool)}, queue=queue, ghl={"notes": True})


async def test_after_erase_no_key_and_no_file_knows_the_person(
    sandbox: Sandbox, connection: Connection, redis_server: RedisServer, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    async with inside(sandbox, tmp_path, all_of(sandbox, redis_server, spool)) as daemon:
        await goes_on(daemon, await ends(daemon, connection))
        before = traces(await everything(connection))
        assert set().union(*before.values()) == set(TRACES)
        assert before.keys() >= {"seen", "load", "job", "step", "ev", "audit", "record", "contacts"}, before
        with pytest.raises(SystemExit) as status:
            await asyncio.to_thread(main, ["erase", CONTACT, "--yes", "--config", str(tmp_path / "config.toml")])
        assert status.value.code == 0
        assert traces(await everything(connection)) == {}
    assert spool.read_bytes() == HEADER


async def test_without_retention_ids_stay_and_what_was_bought(
    sandbox: Sandbox, connection: Connection, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Of leads that ended. A record is kept for `realestateapi.cache_ttl`: it tells of a house, and was paid for."""
    settings = all_of(sandbox, redis_server, tmp_path / "spool", payload_retention=0.0)
    async with inside(sandbox, tmp_path, settings) as daemon:
        await ends(daemon, connection)

        loads = f"{Keys('lead-enrichment').prefix}load:*"

        async def are_gone() -> bool:
            return not await connection.execute("KEYS", loads)

        await until(are_gone, "the leads")
        kept = traces(await everything(connection))
    assert kept == {"seen": {CONTACT}, "job": {CONTACT}, "ev": {CONTACT}, "contacts": {CONTACT}, "record": {STREET}}
