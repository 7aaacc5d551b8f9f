"""Who this daemon is: a name that no other live daemon has, so that a restart takes over its own leases at once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path


class NameTaken(Exception):
    """Another live daemon has this name."""


def default_name(port: int) -> str:
    return f"{socket.gethostname()}:{port}"


@contextlib.contextmanager
def hold_name(name: str, redis_url: str, queue: str) -> Iterator[None]:
    """Holds a lock file as long as this process lives; a killed process's lock is free at once. Raises: NameTaken."""
    folder = Path(os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or tempfile.gettempdir())
    mark = hashlib.sha256(f"{name}|{redis_url}|{queue}".encode()).hexdigest()[:16]
    path = folder / f"leadenrich-{mark}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NameTaken(
                f'another leadenrich named "{name}" is running on this host and queue: end it, or set worker.name'
            ) from None
        yield
    finally:
        os.close(descriptor)
