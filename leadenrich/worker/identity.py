"""Who this daemon is: a name that no other live daemon has, so that a restart takes over its own leases at once."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from leadenrich.store.queue import Queue


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


async def refuse_rival(queue: Queue, *, lease_s: float) -> None:
    """A lock file sees this host only; on another one, a beat that goes on tells. Raises: NameTaken, StoreUnavailable.

    Costs a lease and a bit, and only where the last daemon of this name ran on another host.
    """
    before = await queue.last_beat()
    if before is None or before[1] in ("", socket.gethostname()):
        return
    await asyncio.sleep(lease_s * 4 / 3 + 0.5)
    after = await queue.last_beat()
    if after is not None and after[0] != before[0]:
        raise NameTaken(
            f'a leadenrich named "{queue.worker}" is running on {before[1]}: set worker.name to another one'
        )
