"""What a daemon uses, read from outside: memory, files, tasks; and the keys of its queue, counted by kind."""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daemon_process import DaemonProcess

from chaos.stage import KEYS, Stage
from leadenrich.store.connection import Connection

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MB = 1_000_000

# In one call, so that no job moves meanwhile. A kind is the word after the tag, or the first one where there is none.
CENSUS = """
local kinds = {}
for _, key in ipairs(redis.call("KEYS", "le:*")) do
  local kind = string.match(key, "^le:{[^}]*}:(%a+)") or string.match(key, "^le:{?(%a+)")
  kinds[kind] = (kinds[kind] or 0) + 1
end
local answer = {}
for kind, count in pairs(kinds) do answer[#answer + 1] = { kind, count } end
return { answer, redis.call("ZRANGE", ARGV[1] .. "done", 0, -1), redis.call("ZRANGE", ARGV[1] .. "dead", 0, -1),
  redis.call("ZCARD", ARGV[1] .. "lease") + redis.call("ZCARD", ARGV[1] .. "sched")
  + redis.call("LLEN", ARGV[1] .. "wait:live") + redis.call("LLEN", ARGV[1] .. "wait:bulk")
  + redis.call("LLEN", ARGV[1] .. "wait:suspect") }
"""


@dataclass(slots=True)
class Census:
    """The keys by kind, the jobs that are kept after their end, and how many have not ended."""

    kinds: Counter[str]
    done: set[str]
    dead: set[str]
    live: int

    @property
    def jobs_in_places(self) -> int:
        return len(self.done) + len(self.dead) + self.live


async def census(redis: Connection) -> Census:
    kinds, done, dead, live = await redis.execute("EVAL", CENSUS, 0, KEYS.prefix)
    found = Counter({kind.decode(): int(count) for kind, count in kinds})
    return Census(found, {it.decode() for it in done}, {it.decode() for it in dead}, int(live))


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def rss_bytes_max(pid: int) -> int:
    """The most it ever had."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@dataclass(frozen=True, slots=True)
class Files:
    """Open descriptors. Pools keep connections to Redis and the vendors for later: they are counted apart."""

    own: int
    pooled: int


def files(pid: int, pool_ports: set[int]) -> Files:
    tcp = {row[9]: int(row[2].rpartition(":")[2], 16) for row in _table(pid, "tcp")}
    unix = {row[6] for row in _table(pid, "unix")}
    own = pooled = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            socket = re.fullmatch(r"socket:\[(\d+)\]", str(path.readlink()))
            # What a pool keeps of a Redis that was killed is in no table until it is taken out, and opened again.
            is_pooled = socket is not None and socket[1] not in unix and tcp.get(socket[1]) in (*pool_ports, None)
            own, pooled = own + (not is_pooled), pooled + is_pooled
    return Files(own, pooled)


def _table(pid: int, name: str) -> list[list[str]]:
    """A table of the system's sockets, as seen by a process, without its head."""
    return [line.split() for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]


async def gauge(daemon: DaemonProcess, name: str) -> float:
    """One figure of /metrics. Raises: what a request raises."""
    async with daemon.session.get(f"{daemon.url}/metrics") as answer:
        found = re.search(rf"^{name} (\S+)$", await answer.text(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def pool_ports(scene: Stage) -> set[int]:
    urls = (scene.redis.url.rpartition("/")[0], scene.sandbox.ghl_url, scene.sandbox.realestateapi_url)
    return {int(url.rpartition(":")[2]) for url in urls}
