"""What one enriched lead takes: of Redis (commands, bytes on the wire, on disk, in memory), of CPU, of the vendors.

The daemon that users start, against both fake vendors in a process of their own. About half a minute.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from bench.daemon import LEADENRICH, Daemon
from bench.process import LOAD_CORE, Process, until
from bench.report import machine, versions
from bench.server import QUEUE, BenchRedis, a_redis
from bench.stage import Stage
from bench.vendors import HOUSES

from leadenrich.cli.loop import run_loop
from leadenrich.config import QueueSettings, RedisSettings
from leadenrich.store.connection import open_redis
from leadenrich.store.queue import Queue

WARM: Final = HOUSES - 1  # one lead before all others: scripts, field ids, connections
ONE_BY_ONE: Final = 60
LEADS: Final = WARM - ONE_BY_ONE
CLAIMS: Final = 40
CLAIMED: Final = 50
MOVED: Final = 100  # keys in one MIGRATE
KINDS: Final = {
    "job": r"^le:{\w+}:job:", "lead": r"^le:{\w+}:load:", "steps": r"^le:{\w+}:step:", "timeline": r"^le:{\w+}:tl:",
    "contact": r"^le:{\w+}:seen:", "delivery": r"^le:{\w+}:dedup:", "record": r"^le:{prop:.*:record$",
    "address": r"^le:{addr:", "credit mark": r"^le:spending:",
}  # fmt: skip


class Part(msgspec.Struct, frozen=True):
    """Of a lead on its way through Redis: `commands` counts those inside of scripts too; bytes but for the CPU."""

    commands: float
    reads: float
    to_redis: float
    from_redis: float
    disk: float
    redis_us: float
    daemon_us: float = 0.0


class Kind(msgspec.Struct, frozen=True):
    """A kind of key that an enriched lead leaves: how many, and how large each is, all included."""

    a_lead: float
    bytes_each: float


class Bill(msgspec.Struct, frozen=True):
    """`taken_in`: enqueued, 50 in flight; `worked_off`: 50 at a time; `one_by_one`: both, a lead every 50 ms.

    `calls` are of a lead worked off, `wire` its bytes to and from each vendor without TLS. `claim_us`: Redis' CPU for
    a claim that finds nothing, one job, 50. `moved_per_s`: keys that MIGRATE takes to another Redis on this machine.
    """

    on: str
    machine: str
    versions: dict[str, str]
    taken_in: Part
    worked_off: Part
    one_by_one: Part
    kinds: dict[str, Kind]
    calls: dict[str, float]
    wire: dict[str, dict[str, float]]
    claim_us: dict[str, float]
    moved_per_s: float


@dataclass(frozen=True, slots=True)
class _Count:
    commands: float
    reads: float
    to_redis: float
    from_redis: float
    disk: float
    redis_us: float

    def since(self, before: _Count, leads: int, **more: float) -> Part:
        mine, then = asdict(self), asdict(before)
        return Part(**{name: (mine[name] - then[name]) / leads for name in mine}, **more)


def _count(redis: BenchRedis) -> _Count:
    told: dict[str, Any] = redis.client.info("everything")
    return _Count(
        commands=told["total_commands_processed"],
        reads=told["total_reads_processed"],
        to_redis=told["total_net_input_bytes"],
        from_redis=told["total_net_output_bytes"],
        disk=told["aof_current_size"],
        redis_us=1e6 * (told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"]),
    )


def measure(say: Callable[[str], None]) -> Bill:
    with tempfile.TemporaryDirectory(prefix="leadenrich-scale-") as folder, _stage(Path(folder)) as (stage, counts_at):
        say("a lead's way ...")
        told = _one_life(stage, counts_at)
        say("claims ...")
        told["claim_us"] = _claims(stage)
        say("keys on their way to another Redis ...")
        told["moved_per_s"] = _moved(stage)
    return Bill(time.strftime("%Y-%m-%d", time.gmtime()), machine(), versions(), **told)


@contextmanager
def _stage(folder: Path) -> Iterator[tuple[Stage, str]]:
    told = folder / "vendors.json"
    with Process([sys.executable, "-m", "scale.vendors", str(told)], folder, core=LOAD_CORE) as vendors:
        until(told.exists, f"the fake vendors: {vendors.words()}")
        serving = json.loads(told.read_text())
        yield Stage(folder, serving, quick=False, log_level="info", with_peers=False), serving["counts"]


def _one_life(stage: Stage, counts_at: str) -> dict[str, Any]:
    with a_redis() as redis:
        config, _ = stage.config(redis)
        stage.enqueue(redis, 1, first=WARM, form="house")
        with stage.daemon(redis, worker={"concurrency": CLAIMED}) as daemon:
            daemon.ready()
            redis.until_ended(1)
            _queue(config, "pause")
            start, memory = _count(redis), redis.counted().memory
            stage.enqueue(redis, LEADS, form="house")
            taken_in = _count(redis).since(start, LEADS)
            before, vendors, cpu_s = _count(redis), _counts(counts_at), daemon.cpu_s()
            _queue(config, "resume")
            redis.until_ended(LEADS + 1)
            _settled(daemon)
            worked_off = _count(redis).since(before, LEADS, daemon_us=1e6 * (daemon.cpu_s() - cpu_s) / LEADS)
            calls, wire = _since(_counts(counts_at), vendors)
            kinds = _kinds(redis, redis.counted().memory - memory)
            start, cpu_s = _count(redis), daemon.cpu_s()
            stage.enqueue(redis, ONE_BY_ONE, first=LEADS, form="house", in_flight=1, gap_ms=50)
            redis.until_ended(LEADS + 1 + ONE_BY_ONE)
            one_by_one = _count(redis).since(start, ONE_BY_ONE, daemon_us=1e6 * (daemon.cpu_s() - cpu_s) / ONE_BY_ONE)
            if redis.count("SUCCEEDED") != HOUSES:
                raise RuntimeError(f"{redis.count('SUCCEEDED')} of {HOUSES} leads were enriched: {daemon.words()}")
    return {
        "taken_in": taken_in, "worked_off": worked_off, "one_by_one": one_by_one, "kinds": kinds, "calls": calls,
        "wire": wire,
    }  # fmt: skip


def _queue(config: Path, verb: str) -> None:
    subprocess.run([*LEADENRICH, "queue", verb, "--config", str(config)], check=True, capture_output=True, timeout=60)


def _settled(daemon: Daemon) -> None:
    """It rests: what the last leads cost is counted too."""
    cpu_s = -1.0
    while cpu_s != daemon.cpu_s():
        cpu_s = daemon.cpu_s()
        time.sleep(0.2)


def _counts(counts_at: str) -> dict[str, Any]:
    with urllib.request.urlopen(counts_at, timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def _since(now: dict[str, Any], before: dict[str, Any]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    calls = {name: (count - before["calls"].get(name, 0)) / LEADS for name, count in now["calls"].items()}
    wire = {
        vendor: {way: (count - before["bytes"][vendor][way]) / LEADS for way, count in ways.items()}
        for vendor, ways in now["bytes"].items()
    }
    return {name: count for name, count in calls.items() if count}, wire


def _kinds(redis: BenchRedis, memory: int) -> dict[str, Kind]:
    """`memory`: what the leads added. What MEMORY USAGE does not see (the tables in which keys and their ends stand) is
    shared among all keys; lists and the stream of events, which are bounded, belong to nobody.
    """
    sizes: dict[str, list[int]] = defaultdict(list)
    others = 0
    for key in redis.client.scan_iter(count=1000):
        size = int(redis.client.memory_usage(key, samples=0) or 0)
        found = next((kind for kind, pattern in KINDS.items() if re.match(pattern, key.decode())), None)
        if found:
            sizes[found].append(size)
        else:
            others += size
    unseen = max(0.0, (memory - others - sum(map(sum, sizes.values()))) / sum(map(len, sizes.values())))
    leads = len(sizes["job"])
    return {kind: Kind(len(of_it) / leads, sum(of_it) / len(of_it) + unseen) for kind, of_it in sizes.items()}


def _claims(stage: Stage) -> dict[str, float]:
    """Redis' own time for a claim, in µs."""
    with a_redis() as redis:
        stage.enqueue(redis, CLAIMS * (CLAIMED + 1))
        return run_loop(_timed_claims(redis))


async def _timed_claims(redis: BenchRedis) -> dict[str, float]:
    async with open_redis(RedisSettings(url=redis.url)) as connection:
        queue = Queue(connection, QueueSettings(name=QUEUE), worker="claims")
        await queue.open()
        times = {}
        for name, want in (("one", 1), ("fifty", CLAIMED), ("none", 1)):
            if name == "none":
                await connection.execute("DEL", queue.keys.wait_live)
            await queue.claim(1, running=0)
            await connection.execute("CONFIG", "RESETSTAT")
            for _ in range(CLAIMS - 1):
                grant = await queue.claim(want, running=0)
                if len(grant.claims) != (0 if name == "none" else want):
                    raise RuntimeError(f"{len(grant.claims)} of {want} jobs claimed")
            times[name] = float(redis.client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])
        return times


def _moved(stage: Stage) -> float:
    """Keys a second that MIGRATE takes to another Redis on this machine, a hundred at a time."""
    with a_redis() as here, a_redis() as there:
        stage.enqueue(here, 10_000)
        keys = list(here.client.scan_iter(count=1000))
        began = time.monotonic()
        for first in range(0, len(keys), MOVED):
            part = keys[first : first + MOVED]
            here.client.execute_command("MIGRATE", "127.0.0.1", there.port, "", 0, 10_000, "KEYS", *part)
        took_s = time.monotonic() - began
        if there.client.dbsize() != len(keys):
            raise RuntimeError(f"{there.client.dbsize()} of {len(keys)} keys arrived")
        return len(keys) / took_s


def rounded(bill: Bill) -> Bill:
    """Four digits: what is beyond them is noise, and a diff that one cannot read."""
    plain = msgspec.to_builtins(bill)

    def short(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: short(inner) for name, inner in value.items()}
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return msgspec.convert(short(plain), Bill)
