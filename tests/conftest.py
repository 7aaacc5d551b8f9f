"""What many tests share: a real Redis, waiting for facts."""

from __future__ import annotations

import asyncio
import os
import time
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from daemon_process import DaemonProcess, forget_logging
from redis_server import RedisServer, running


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real redis-server for the whole run; its data is flushed by who needs it empty."""
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(autouse=True, scope="module")
def _logging_is_nobodys() -> None:
    """A command or a daemon that ran in this process may have left its logging to the next file."""
    forget_logging()


WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
def wait_until() -> WaitUntil:
    """Waits for a fact, looking often; fails with its name when it does not come."""

    async def wait(fact: Callable[[], object], *, within_s: float = 10.0, what: str = "") -> None:
        deadline = time.monotonic() + within_s
        while True:
            answer = fact()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return
            assert time.monotonic() < deadline, f"did not come within {within_s} s: {what or fact}"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture(scope="session", autouse=True)
def no_daemon_tells_its_secrets() -> Iterator[None]:
    """Whatever any test does to a daemon in a process of its own: no secret of its configuration is in its log."""
    leaks: list[str] = []
    read = DaemonProcess._read

    async def read_and_look(daemon: DaemonProcess, process: asyncio.subprocess.Process) -> None:
        try:
            await read(daemon, process)
        finally:
            said, test = "".join(daemon.text), os.environ.get("PYTEST_CURRENT_TEST", "")
            leaks.extend(f"{test}: {secret}" for secret in _secrets_in(daemon) if secret in said)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DaemonProcess, "_read", read_and_look)
        yield
    assert leaks == []


def _secrets_in(daemon: DaemonProcess) -> set[str]:
    """Of the configuration file as it is now; none where a test made it unreadable."""
    try:
        told: dict[str, Any] = tomllib.loads(daemon.path.read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return set()
    server, ghl = told.get("server", {}), told.get("ghl", {})
    found = [server.get("admin_token"), server.get("viewer_token"), ghl.get("webhook_token")]
    found += [location.get("token") for location in ghl.get("locations", [])]
    found += [told.get("realestateapi", {}).get("api_key"), told.get("alerts", {}).get("url")]
    found += [urlsplit(str(told.get("redis", {}).get("url", ""))).password]
    return {secret for secret in found if secret}
