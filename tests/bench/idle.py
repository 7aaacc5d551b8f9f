"""What the whole daemon costs while nothing happens."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from functools import partial

from bench import peers
from bench.samples import OURS, Measure, Phase, Sample
from bench.server import BenchRedis, a_redis
from bench.stage import Stage

SETTLE_S = 5.0
SECONDS, QUICK_SECONDS = 60.0, 15.0
IN_SCRIPT = b" lua] "


class Monitor:
    """Everything that Redis is asked from now on, told by Redis itself."""

    def __init__(self, redis: BenchRedis) -> None:
        self._link = socket.create_connection(("127.0.0.1", redis.port))
        self._link.sendall(b"MONITOR\r\n")
        if self._link.recv(16) != b"+OK\r\n":
            raise RuntimeError("Redis lets nobody monitor")

    def commands(self) -> list[bytes]:
        self._link.setblocking(False)
        told = b""
        try:
            while part := self._link.recv(1 << 16):
                told += part
        except BlockingIOError:
            self._link.close()
        return told.splitlines()


def idle(stage: Stage) -> Sample:
    """`serve`, both halves, after what its start did."""
    seconds = QUICK_SECONDS if stage.quick else SECONDS
    with a_redis() as redis, stage.daemon(redis) as daemon:
        daemon.ready()
        time.sleep(SETTLE_S)
        before_s, redis_before_s, monitor = daemon.cpu_s(), redis.counted().cpu_s, Monitor(redis)
        time.sleep(seconds)
        commands = monitor.commands()
        used_s, redis_used_s = daemon.cpu_s() - before_s, redis.counted().cpu_s - redis_before_s
        in_scripts = sum(IN_SCRIPT in line for line in commands)
        return {
            "commands_per_s": (len(commands) - in_scripts) / seconds,
            "all_commands_per_s": len(commands) / seconds,
            "cpu_percent": 100 * used_s / seconds,
            "resident_mib": daemon.resident_mib(),
            "redis_cpu_percent": 100 * redis_used_s / seconds,
        }


def _subjects(stage: Stage) -> Mapping[str, Measure]:
    return {OURS: partial(idle, stage), **peers.idles(stage)}


PHASES = (
    Phase(
        "idle",
        "Idle, web server and worker",
        {
            "commands_per_s": "Redis commands/s",
            "all_commands_per_s": "those in scripts too",
            "cpu_percent": "CPU, %",
            "resident_mib": "resident, MiB",
            "redis_cpu_percent": "Redis CPU, %",
        },
        _subjects,
        repetitions=1,
    ),
)
