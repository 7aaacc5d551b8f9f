"""`leadenrich serve` as a user starts it: its own process, its own TOML, everything opened up that may be."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Literal, TypeAlias

from daemon_process import Settings
from redis_server import free_port

from bench.process import Process, until
from bench.server import QUEUE, BenchRedis

TOKEN = "the-token-of-the-benchmark"
Half: TypeAlias = Literal["web", "worker"]
LEADENRICH = [str(Path(sys.executable).with_name("leadenrich"))]
NOOP = [sys.executable, "-m", "bench.noop_daemon"]


def settings(redis: BenchRedis, vendors: dict[str, Any], port: int, public_key: str, **sections: Any) -> Settings:
    """No limit but those of the measurement; what is not named here is the product's default."""
    usual: Settings = {
        "server": {"port": port},
        "redis": {"url": redis.url},
        "queue": {"name": QUEUE},
        "worker": {"name": f"bench-{port}", "rate_per_second": 0},
        "realestateapi": {**vendors["realestateapi"], "rate_per_second": 0},
        "ghl": {
            **vendors["ghl"],
            "public_keys": [public_key],
            "webhook_token": TOKEN,
            "requests_per_10s": 0,
            "locations": [vendors["location"]],
        },
        "log": {"format": "json"},
    }
    return {name: {**usual.get(name, {}), **sections.get(name, {})} for name in {**usual, **sections}}


class Daemon(Process):
    """Started when made; `ready` waits. With `noop`, a mode of noop_daemon, the enrichment is replaced."""

    def __init__(self, config: Path, port: int, *, only: Half | None = None, noop: str = "") -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.notes = config.with_suffix(".notes")
        self.notes.touch()
        argv = [*(NOOP if noop else LEADENRICH), "serve", "--config", str(config), *(["--only", only] if only else [])]
        super().__init__(argv, config.parent, env={"BENCH_MODE": noop, "BENCH_NOTES": str(self.notes)})

    def __enter__(self) -> Daemon:
        return self

    def ready(self, *, within_s: float = 30.0) -> Daemon:
        """Waits for /readyz."""
        until(self._is_ready, f"ready: {self.words()}", within_s=within_s)
        return self

    def _is_ready(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the daemon ended: {self.words()}")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def starts(self) -> list[tuple[str, int]]:
        """Which contact's job began when, ns since the epoch; see noop_daemon."""
        whole_lines = self.notes.read_text().rpartition("\n")[0].splitlines()
        return [(contact, int(at)) for contact, _, at in (line.partition(" ") for line in whole_lines)]


def port_and_listen(only: Half | None) -> tuple[int, dict[str, Any]]:
    """A free port, and the section that makes a worker half answer /readyz on it."""
    port = free_port()
    return port, {"listen": f"127.0.0.1:{port}"} if only == "worker" else {}
