"""What /readyz tells of Redis is read when somebody asks, and one look answers all who ask at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from leadenrich.config import RedisSettings
from leadenrich.daemon.store_look import FRESH_S, StoreLook
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.schema import Keys
from leadenrich.store.switches import Switches
from leadenrich.telemetry.health import Health


class Telling:
    """A connection that counts what it was asked and can be away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.asked = 0
        self.away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, *command: Any) -> Any:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("Redis: away")
        return await self._connection.execute(*command)


@pytest.fixture
async def connection() -> AsyncIterator[Any]:
    async with open_redis(RedisSettings(url="fakeredis://")) as opened:
        yield Telling(opened)


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def health() -> Health:
    ready = Health()
    ready.ready()
    return ready


@pytest.fixture
def switches(connection: Any) -> Switches:
    return Switches(connection, Keys("q"))


@pytest.fixture
def store_look(connection: Any, switches: Switches, health: Health, now: list[float]) -> StoreLook:
    look = StoreLook(connection, switches, health, monotonic=lambda: now[0])
    health.look = look.refresh
    return look


async def test_many_who_ask_cost_one_look(connection: Any, store_look: StoreLook, now: list[float]) -> None:
    await asyncio.gather(*(store_look.refresh() for _ in range(20)))
    now[0] += FRESH_S - 0.1
    await store_look.refresh()
    assert connection.asked == 1
    now[0] += 0.1
    await store_look.refresh()
    assert connection.asked == 2


async def test_after_an_unanswered_command_the_next_who_asks_hears_it(
    connection: Any, store_look: StoreLook, health: Health, now: list[float]
) -> None:
    assert (await health.fresh_report()).ready
    connection.away = True
    assert (await health.fresh_report()).ready  # nobody has noticed yet
    store_look.doubt()
    report = await health.fresh_report()
    assert report.trouble == "web: store: Redis: away; worker: store: Redis: away"
    asked = connection.asked
    store_look.doubt()  # what is known to be away is not asked for each command that fails
    await health.fresh_report()
    assert connection.asked == asked
    connection.away = False
    now[0] += FRESH_S
    assert (await health.fresh_report()).ready


async def test_with_nobody_asking_the_log_still_hears_of_an_outage_and_its_end(
    connection: Any, store_look: StoreLook, health: Health
) -> None:
    connection.away = True
    await store_look.look()
    assert not health.report_now().ready
    connection.away = False
    await store_look.look()
    assert health.report_now().ready


async def test_what_a_person_paused_is_shown_to_who_asks_and_told_once(
    store_look: StoreLook, switches: Switches, health: Health, now: list[float]
) -> None:
    await health.fresh_report()
    await switches.pause_queue("a clean-up")
    await switches.pause_provider("ghl:loc1", "auth", "401")
    now[0] += FRESH_S
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            report = await health.fresh_report()
            now[0] += FRESH_S
        assert report.ready
        assert report.notes["queue"] == "paused (operator): a clean-up"
        assert report.notes["ghl:loc1"] == "paused (auth): 401"
        await switches.resume_queue()
        await store_look.look()
    assert "queue" not in health.report_now().notes
    assert [line["event"] for line in lines] == ["paused_by_operator", "resumed_by_operator"]
