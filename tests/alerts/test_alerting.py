"""One daemon of many looks and tells; what was told holds over restarts, and nothing of it breaks a daemon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from daemon_process import Inside, inside, new_sandbox, people, settings_for, until
from fake_slack import PATH, FakeSlack
from msgspec.structs import replace

from leadenrich.alerts.alerting import Alerting
from leadenrich.alerts.episodes import CALM_LOOKS
from leadenrich.config import AlertSettings, Config, RealEstateApiSettings, RedisSettings
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.schema import Keys
from leadenrich.store.switches import Switches

KEYS = Keys("q")


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    async with open_redis(RedisSettings(url="fakeredis://")) as opened:
        yield opened


@pytest.fixture
def switches(connection: Connection) -> Switches:
    return Switches(connection, KEYS)


class Clock:
    def __init__(self) -> None:
        self.ms = time.time_ns() // 1_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def daemon(connection: Connection, slack: FakeSlack, clock: Clock) -> Callable[..., Alerting]:
    """Another daemon on the queue."""

    def make(name: str = "one/1", count: Callable[[Any], None] = lambda result: None, **alerts: Any) -> Alerting:
        config = Config(
            alerts=AlertSettings(**{"url": slack.secret, **alerts}),
            realestateapi=RealEstateApiSettings(daily_credits=10),
        )
        return Alerting(config, connection, KEYS, daemon=name, count=count, now_ms=clock)

    return make


async def test_without_an_address_nothing_is_asked(connection: Connection, daemon: Any) -> None:
    silent, asked = daemon(url=None), await connection.execute("DBSIZE")
    await silent.look()
    assert await connection.execute("DBSIZE") == asked == 0


async def test_a_pause_is_told_once_and_once_when_it_is_over(daemon: Any, switches: Switches, slack: FakeSlack) -> None:
    alerting = daemon()
    await switches.pause_provider("realestateapi", "auth", "401 for Jo Doe")
    for _ in range(5):
        await alerting.look()
    [text] = slack.texts
    assert text.startswith("leadenrich lead-enrichment. Alert: realestateapi is paused: its key or token was refused.")
    assert "Jo Doe" not in text
    await switches.resume_provider("realestateapi", why="new key")
    for _ in range(CALM_LOOKS + 2):
        await alerting.look()
    assert slack.texts[1:] == ["leadenrich lead-enrichment. Over: realestateapi is called again."]


async def test_of_several_daemons_one_tells(daemon: Any, switches: Switches, slack: FakeSlack) -> None:
    three = [daemon(name) for name in ("one/1", "two/1", "three/1")]
    await switches.pause_provider("realestateapi", "auth", "401")
    for _ in range(3):
        await asyncio.gather(*(alerting.look() for alerting in three))
    assert len(slack.texts) == 1


async def test_another_daemon_goes_on_where_one_died(
    daemon: Any, connection: Connection, switches: Switches, slack: FakeSlack
) -> None:
    await switches.pause_provider("realestateapi", "auth", "401")
    await daemon("one/1").look()
    after_restart = daemon("one/2")
    await after_restart.look()  # the turn is still the dead one's
    await connection.execute("DEL", KEYS.alerts_turn)  # it ran out
    await after_restart.look()
    assert len(slack.texts) == 1
    await switches.resume_provider("realestateapi", why="new key")
    for _ in range(CALM_LOOKS):
        await after_restart.look()
    assert len(slack.texts) == 2


async def test_who_dies_while_it_posts_has_told_nobody(
    daemon: Any, connection: Connection, switches: Switches, slack: FakeSlack
) -> None:
    """Rather twice than never."""
    await switches.pause_provider("realestateapi", "auth", "401")
    slack.answers = [503]
    dying = asyncio.create_task(daemon("one/1").look())
    await until(lambda: slack.paths, "a post that failed and waits for its next try")
    dying.cancel()
    await asyncio.wait([dying])
    await connection.execute("DEL", KEYS.alerts_turn)
    await daemon("one/2").look()
    assert len(slack.texts) == 1


async def test_what_cannot_be_posted_is_dropped_with_a_line(daemon: Any, switches: Switches, slack: FakeSlack) -> None:
    results: list[str] = []
    alerting = daemon(count=results.append)
    slack.answers = [404]
    await switches.pause_provider("realestateapi", "auth", "401")
    with structlog.testing.capture_logs() as lines:
        await alerting.look()
    [line] = lines
    assert (line["event"], line["log_level"]) == ("alert_dropped", "error")
    assert "realestateapi is paused" in line["alert"]
    assert PATH not in str(line)
    await alerting.look()  # it is not tried for ever
    assert (len(slack.paths), results) == (1, ["dropped"])


async def test_a_reminder_comes_after_its_time(daemon: Any, switches: Switches, slack: FakeSlack, clock: Clock) -> None:
    alerting = daemon(remind=3600)
    await switches.pause_provider("realestateapi", "auth", "401")
    await alerting.look()
    clock.ms += 3_599_000
    await alerting.look()
    assert len(slack.texts) == 1
    clock.ms += 1000
    await alerting.look()
    assert "Still, after 60 min: realestateapi is paused" in slack.texts[1]


async def test_waits_failures_and_the_budget_are_seen_in_redis(
    daemon: Any, connection: Connection, slack: FakeSlack, clock: Clock
) -> None:
    await connection.execute("RPUSH", KEYS.wait_live, "j1")
    await connection.execute("HSET", KEYS.job("j1"), "lane", "live", "state", "QUEUED", "created", clock.ms - 3_600_000)
    for number in range(20):
        await connection.execute("ZADD", KEYS.dead, number, f"d{number}")
        await connection.execute("HSET", KEYS.job(f"d{number}"), "reason", "bad_address")
    day = time.strftime("%Y-%m-%d", time.gmtime())
    await connection.execute("SET", "le:{credits:realestateapi}:" + day, 8)
    await daemon().look()
    told = " / ".join(slack.texts)
    assert "The oldest live lead has waited 60 min" in told
    assert "20 of the last 20 leads ended in FAILED_FINAL (bad_address 20)" in told
    assert "8 of the day's 10 credits are used" in told
    assert len(slack.texts) == 3


async def test_everything_it_keeps_expires(daemon: Any, connection: Connection, switches: Switches) -> None:
    await switches.pause_provider("realestateapi", "auth", "401")
    await daemon().look()
    for key in (KEYS.alerts, KEYS.alerts_turn):
        assert 0 < await connection.execute("PTTL", key) <= 86_400_000


async def test_a_fault_of_ours_does_not_end_the_daemon(daemon: Any, connection: Connection) -> None:
    alerting = daemon()
    await connection.execute("HSET", KEYS.alerts, "paused:x", "no episode")
    with structlog.testing.capture_logs() as lines:
        await alerting.look()
    assert [line["event"] for line in lines] == ["alerts_broken"]


async def test_a_store_that_is_away_is_told_to_who_looks(daemon: Any, connection: Connection) -> None:
    alerting = daemon()

    async def away(*command: Any) -> Any:
        raise StoreUnavailable("Redis: away")

    connection.execute = away  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await alerting.look()


async def test_a_reload_changes_what_is_told(daemon: Any, switches: Switches, slack: FakeSlack) -> None:
    alerting = daemon(url=None)
    await switches.pause_provider("realestateapi", "auth", "401")
    await alerting.look()
    assert not slack.texts
    alerting.reconfigure(replace(Config(), alerts=AlertSettings(url=slack.secret)))
    await alerting.look()
    assert len(slack.texts) == 1


async def test_a_daemon_tells_of_a_refused_key_and_of_its_end(tmp_path: Path, slack: FakeSlack) -> None:
    """A whole daemon: the vendor refuses the key, later takes it again; one message each."""
    async with new_sandbox() as sandbox:
        settings = settings_for(sandbox, "fakeredis://", alerts={"url": slack.url})
        async with inside(sandbox, tmp_path, settings, alert_look_s=0.05, probe_s=0.2) as daemon:
            sandbox.faults.add(Fault("status", status=401), times=None, match=Match(provider="realestateapi"))
            job_id = await daemon.tell(people(sandbox, 1)[0])
            await until(lambda: slack.texts, "the alert")
            sandbox.faults.clear()
            await daemon.ended([job_id])
            await until(lambda: len(slack.texts) > 1, "the end of it")
            # The vendor of alerts has the message before the daemon has its answer.
            await until(lambda: metric(daemon, 'leadenrich_alerts_total{result="posted"} 2.0'), "the count of both")
            said = daemon.log.getvalue()
    assert [text.partition(".")[2][:30] for text in slack.texts] == [
        " Alert: realestateapi is pause",
        " Over: realestateapi is called",
    ]
    assert PATH not in said


async def metric(daemon: Inside, line: str) -> bool:
    async with daemon.session.get(f"{daemon.url}/metrics") as answer:
        return line in (await answer.text()).splitlines()


async def test_a_webhook_that_hangs_delays_nobodys_way_down(tmp_path: Path) -> None:
    called = asyncio.Event()

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await reader.read()  # until the other side hangs up
        writer.close()

    server = await asyncio.start_server(stay_silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, new_sandbox() as sandbox:
        settings = settings_for(sandbox, "fakeredis://", alerts={"url": f"http://127.0.0.1:{port}/x"})
        async with inside(sandbox, tmp_path, settings, alert_look_s=0.05) as daemon:
            keys = daemon.running.queue.keys
            await Switches(daemon.running.connection, keys).pause_provider("ghl:loc9", "operator", "moving")
            await asyncio.wait_for(called.wait(), 10)
            [done] = await daemon.ended([await daemon.tell(people(sandbox, 1)[0])])  # leads are worked on meanwhile
            assert done["state"] == "SUCCEEDED"
            began = time.monotonic()
        assert time.monotonic() - began < 5  # half of the post's own time
