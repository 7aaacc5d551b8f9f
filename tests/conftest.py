"""What many tests share: a real Redis, waiting for facts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from redis_server import RedisServer, running


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real redis-server for the whole run; its data is flushed by who needs it empty."""
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


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
