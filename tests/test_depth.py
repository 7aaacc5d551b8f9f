"""What /metrics shows of the queue: read from Redis while somebody scrapes, and only then."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from leadenrich.config import Config, RealEstateApiSettings, RedisSettings
from leadenrich.core.job import JobState, Lane, Reason
from leadenrich.daemon.depth import DepthGauge
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.schema import Keys
from leadenrich.store.switches import Switches
from leadenrich.store.views import Views

KEYS = Keys("q")
LIMITED = Config(realestateapi=RealEstateApiSettings(daily_credits=10))


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    async with open_redis(RedisSettings(url="fakeredis://")) as opened:
        yield opened


@pytest.fixture
def gauge(connection: Connection) -> DepthGauge:
    return DepthGauge(Views(connection, KEYS), LIMITED)


async def test_nothing_is_read_before_a_scrape(gauge: DepthGauge) -> None:
    await gauge.refresh()
    assert gauge.shown() is None
    await gauge.refresh()
    assert gauge.shown() is not None


async def test_it_shows_what_redis_knows(gauge: DepthGauge, connection: Connection) -> None:
    now_ms, day = time.time_ns() // 1_000_000, time.strftime("%Y-%m-%d", time.gmtime())
    await connection.execute("HSET", KEYS.counts, "live:QUEUED", 2, "reason:stalled", 3, "unknown_purchases", 4)
    await connection.execute("RPUSH", KEYS.wait_live, "j1")
    await connection.execute("HSET", KEYS.job("j1"), "lane", "live", "state", "QUEUED", "created", now_ms - 60_000)
    await connection.execute("SET", f"le:{{credits:realestateapi}}:{day}", 7)
    switches = Switches(connection, KEYS)
    for name in ("realestateapi", "ghl:loc1", "ghl:loc2"):
        await switches.pause_provider(name, "auth", "401")
    await switches.pause_queue("clean up")
    gauge.shown()
    await gauge.refresh()
    shown = gauge.shown()
    assert shown is not None
    assert shown.jobs[Lane.LIVE, JobState.QUEUED] == 2
    assert shown.oldest_waiting_seconds == {Lane.LIVE: pytest.approx(60, abs=5)}
    assert (shown.credits_today, shown.credits_limit) == (7, 10)
    assert (shown.unknown_purchases, shown.failures[Reason.STALLED], shown.failures[Reason.CANCELLED]) == (4, 3, 0)
    assert (shown.paused, shown.providers_paused) == (True, {"realestateapi": 1, "ghl": 2})


async def test_a_reload_changes_the_days_limit(gauge: DepthGauge) -> None:
    gauge.reconfigure(replace(LIMITED, realestateapi=RealEstateApiSettings(daily_credits=20)))
    gauge.shown()
    await gauge.refresh()
    shown = gauge.shown()
    assert shown is not None
    assert shown.credits_limit == 20
