"""A Redis of its own for each measurement, on the load's core, and what it counts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis_server import RedisServer

from bench.process import LOAD_CORE, pinned, until

QUEUE = "bench"
PREFIX = f"le:{{{QUEUE}}}:"


@dataclass(frozen=True, slots=True)
class Counted:
    """What Redis has counted since its start. `commands` counts those inside of scripts too."""

    cpu_s: float
    commands: int
    reads: int
    memory: int  # bytes, without the buffer on its way to the append-only file


class BenchRedis(RedisServer):
    """redis-server as the peers' benchmark starts it: append-only file every second, no rewrite in between."""

    client: redis.Redis

    def command(self) -> list[str]:
        return pinned(LOAD_CORE, [*super().command(), "--auto-aof-rewrite-percentage", "0"])

    def start(self) -> None:
        super().start()
        self.client = redis.Redis(port=self.port)

    def counted(self) -> Counted:
        told: dict[str, Any] = self.client.info("everything")
        return Counted(
            cpu_s=told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"],
            commands=told["total_commands_processed"],
            reads=told["total_reads_processed"],
            memory=told["used_memory"] - told["mem_aof_buffer"],
        )

    def count(self, state: str, lane: str = "live") -> int:
        """How many jobs of our queue are in a state."""
        return int(self.client.hget(f"{PREFIX}counts", f"{lane}:{state}") or 0)

    def ended(self) -> int:
        """How many jobs of our queue have ended with an outcome, those that retention removed too."""
        counts: dict[Any, Any] = self.client.hgetall(f"{PREFIX}counts")
        return sum(int(value) for name, value in counts.items() if name.startswith(b"outcome:"))

    def until_ended(self, jobs: int, *, within_s: float = 120.0, look_s: float = 0.1) -> None:
        until(lambda: self.ended() >= jobs, f"{jobs} jobs ended", within_s=within_s, look_s=look_s)

    def last_finish_s(self) -> float:
        """When the newest job ended, by Redis' clock: seconds since the epoch."""
        [newest] = self.client.zrevrange(f"{PREFIX}done", 0, 0, withscores=True)
        return float(newest[1]) / 1000


@contextmanager
def a_redis(*options: str) -> Iterator[BenchRedis]:
    with tempfile.TemporaryDirectory(prefix="leadenrich-bench-redis-") as folder:
        server = BenchRedis(Path(folder), *options)
        server.start()
        try:
            yield server
        finally:
            server.client.close()
            server.kill()
