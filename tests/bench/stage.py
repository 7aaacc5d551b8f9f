"""What every measurement needs: a folder, the fake vendors, a signing key, a way to start daemons and enqueuers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from daemon_process import as_toml

from bench.daemon import Daemon, Half, port_and_listen, settings
from bench.process import LOAD_CORE, Process, until
from bench.server import BenchRedis
from leadenrich.sandbox.keys import SandboxKeys

ENQUEUE_S = 900.0  # a million leads take a while


@dataclass(frozen=True, slots=True)
class Stage:
    """`quick` asks for a fraction of the load: good for a comparison with itself only."""

    folder: Path
    vendors: dict[str, Any]
    quick: bool
    log_level: str
    with_peers: bool
    keys: SandboxKeys = field(default_factory=SandboxKeys)
    _numbers: Iterator[int] = field(default_factory=count)

    def daemon(self, redis: BenchRedis, *, only: Half | None = None, noop: str = "", **sections: Any) -> Daemon:
        """A started daemon; use it in a `with` block."""
        config, port = self.config(redis, only=only, **sections)
        return Daemon(config, port, only=only, noop=noop)

    def config(self, redis: BenchRedis, *, only: Half | None = None, **sections: Any) -> tuple[Path, int]:
        """A configuration file in a folder of its own, and the port that it names."""
        port, listen = port_and_listen(only)
        sections = {**sections, "worker": {**listen, **sections.get("worker", {})}}
        sections["log"] = {"level": self.log_level, **sections.get("log", {})}
        path = self.new_folder() / "config.toml"
        path.write_text(as_toml(settings(redis, self.vendors, port, self.keys.public_pem, **sections)))
        return path, port

    def enqueue(self, redis: BenchRedis, leads: int, **options: Any) -> dict[str, Any]:
        """Puts leads in by the product's own way, from a process of its own; what it says, see enqueuer."""
        config, _ = self.config(redis)
        words = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        told_in = config.with_name("told.json")
        argv = [sys.executable, "-m", "bench.enqueuer", str(config), str(told_in), "--leads", str(leads), *words]
        with Process(argv, config.parent) as enqueuer:
            status = enqueuer.child.wait(timeout=ENQUEUE_S)
            if status:
                raise RuntimeError(f"the enqueuer ended with {status}: {enqueuer.words()}")
            told: dict[str, Any] = json.loads(told_in.read_text())
            return told

    def new_folder(self) -> Path:
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return folder


@contextmanager
def a_stage(folder: Path, *, quick: bool, log_level: str, with_peers: bool) -> Iterator[Stage]:
    told = folder / "vendors.json"
    with Process([sys.executable, "-m", "bench.vendors", str(told)], folder, core=LOAD_CORE) as vendors:
        until(told.exists, f"the fake vendors: {vendors.words()}")
        yield Stage(folder, json.loads(told.read_text()), quick, log_level, with_peers)
