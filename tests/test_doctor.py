"""The doctor: each thing that can be wrong in the first hour is told apart, with what to do, and no secret."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from daemon_process import as_toml, new_sandbox, settings_for
from fake_slack import taking_alerts
from redis_proxy import proxy_to
from redis_server import RedisServer, free_port, running

from leadenrich.cli.doctor import run
from leadenrich.config import Config, load
from leadenrich.doctor import Finding, examine
from leadenrich.enrich.mapping import compile_mapping
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.connection import open_redis

ENTRIES = compile_mapping("standard", {}).entries


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with new_sandbox() as opened:
        yield opened


@pytest.fixture(scope="module")
def safe_redis(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Set up as the documentation recommends."""
    with running(tmp_path_factory.mktemp("safe"), "--appendfsync", "always") as server:
        yield server


def written(tmp_path: Path, sandbox: Sandbox, redis_url: str, **sections: Mapping[str, Any]) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(as_toml(settings_for(sandbox, redis_url, **sections)))
    return path


@pytest.fixture
def config_of(tmp_path: Path, sandbox: Sandbox, safe_redis: RedisServer) -> Any:
    def make(redis_url: str = safe_redis.url, **sections: Mapping[str, Any]) -> Config:
        return load(written(tmp_path, sandbox, redis_url, **sections), {}).config

    return make


async def told(config: Config, **more: Any) -> dict[str, Finding]:
    """The findings by what they are about; the locations' ids left out."""
    found = await examine(config, ENTRIES, now_ms=lambda: time.time_ns() // 1_000_000, **more)
    named = {finding.what.replace(config.ghl.locations[0].id, "ID"): finding for finding in found}
    assert len(named) == len(found)
    return named


def problems(found: Mapping[str, Finding]) -> list[str]:
    return [what for what, finding in found.items() if finding.verdict == "problem"]


async def test_where_all_is_well_it_says_so(config_of: Any, sandbox: Sandbox) -> None:
    found = await told(config_of())
    assert {what: finding.verdict for what, finding in found.items()} == {
        "configuration": "ok",
        "Redis version": "ok",
        "Redis append-only file": "ok",
        "Redis appendfsync": "ok",
        "Redis maxmemory-policy": "ok",
        "Redis memory": "ok",
        "RealEstateAPI key": "ok",
        "RealEstateAPI rate": "ok",
        "HighLevel ID token": "ok",
        "HighLevel ID fields": "ok",
    }
    assert not any(finding.todo for finding in found.values())
    assert found["HighLevel ID token"].found == "reads the location Sandbox"


async def test_it_changes_nothing_and_buys_nothing(config_of: Any, sandbox: Sandbox) -> None:
    config = config_of()
    async with open_redis(config.redis) as redis:
        before = await redis.execute("DBSIZE")
        await told(config)
        assert await redis.execute("DBSIZE") == before
    assert {call.method for call in (*sandbox.rea.calls, *sandbox.ghl.calls)} == {"GET"}
    assert not sandbox.rea.paid


# --- Redis -----------------------------------------------------------------------------------------------------------


async def test_a_redis_that_is_away_hides_nothing_else(config_of: Any) -> None:
    found = await told(config_of(f"redis://:the-password@127.0.0.1:{free_port()}/0"))
    assert problems(found) == ["Redis"]
    assert "the-password" not in str(found)
    assert "********@127.0.0.1" in found["Redis"].found
    assert found["RealEstateAPI key"].verdict == "ok"


async def test_a_wrong_password_is_told(config_of: Any, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    with running(tmp_path / "locked", "--requirepass", "right-password") as server:
        found = await told(config_of(server.url.replace("//", "//:wrong-password@")))
    assert problems(found) == ["Redis"]
    assert "invalid username-password pair" in found["Redis"].found
    assert "wrong-password" not in str(found)


async def test_what_a_power_cut_can_cost_is_one_sentence(config_of: Any, redis_server: RedisServer) -> None:
    """The shared server runs with `everysec`, as Redis does by default."""
    finding = (await told(config_of(redis_server.url)))["Redis appendfsync"]
    assert finding.verdict == "warning"
    assert finding.found == "a power cut can cost the last second or two of acknowledged leads"
    assert "appendfsync always" in finding.todo


@pytest.mark.parametrize(("allowed", "verdict"), [(False, "problem"), (True, "warning")])
async def test_no_append_only_file(allowed: bool, verdict: str, config_of: Any, tmp_path: Path) -> None:
    (tmp_path / "volatile").mkdir()
    options = ("--appendonly", "no", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "1gb")
    with running(tmp_path / "volatile", *options) as server:
        found = await told(config_of(server.url, redis={"url": server.url, "allow_volatile": allowed}))
    assert found["Redis append-only file"].verdict == verdict
    assert "appendonly yes" in found["Redis append-only file"].todo
    assert "Redis appendfsync" not in found  # it says nothing without the file
    assert found["Redis maxmemory-policy"].verdict == "warning"
    assert "noeviction" in found["Redis maxmemory-policy"].todo


async def test_a_redis_that_is_too_old(config_of: Any, safe_redis: RedisServer) -> None:
    """Nobody has one to try it on: the proxy in between lets this one tell another version."""

    def older(answer: bytes) -> bytes:
        return re.sub(rb"(?<=redis_version:)[\d.]+", lambda found: b"6.0.".ljust(len(found[0]), b"9"), answer)

    async with proxy_to(safe_redis.url) as proxy:
        proxy.rewrite = older
        finding = (await told(config_of(proxy.url)))["Redis version"]
    assert finding.verdict == "problem"
    assert finding.found.startswith("Redis 6.0.9")
    assert finding.todo == "6.2 or newer is needed"


async def test_a_redis_that_is_nearly_full(config_of: Any, safe_redis: RedisServer) -> None:
    config = config_of()
    async with open_redis(config.redis) as redis:
        limit = round((await redis.memory()).used / 0.9)
        await redis.execute("CONFIG", "SET", "maxmemory", limit)
        try:
            finding = (await told(config))["Redis memory"]
        finally:
            await redis.execute("CONFIG", "SET", "maxmemory", 0)
    assert finding.verdict == "problem"
    assert "maxmemory" in finding.todo


async def test_the_embedded_redis_is_no_place_for_real_leads(config_of: Any) -> None:
    finding = (await told(config_of("fakeredis://")))["Redis"]
    assert (finding.verdict, finding.found) == ("warning", "embedded: nothing outlives the process")


# --- RealEstateAPI ---------------------------------------------------------------------------------------------------


async def test_a_refused_key(config_of: Any, sandbox: Sandbox) -> None:
    found = await told(config_of(realestateapi={"base_url": sandbox.realestateapi_url, "api_key": "a-wrong-key"}))
    assert problems(found) == ["RealEstateAPI key"]
    assert "realestateapi.api_key" in found["RealEstateAPI key"].todo
    assert "a-wrong-key" not in str(found)


async def test_no_key(config_of: Any, sandbox: Sandbox) -> None:
    found = await told(config_of(realestateapi={"base_url": sandbox.realestateapi_url, "api_key": None}))
    assert found["RealEstateAPI key"].found == "no api_key is configured"
    assert not sandbox.rea.calls


async def test_a_key_without_the_look_up_s_scope(config_of: Any, vendor: Any) -> None:
    vendor.answer["scopes"] = ["SkipTrace", "AutoComplete"]
    finding = (await told(config_of(realestateapi=vendor.settings)))["RealEstateAPI key"]
    assert finding.verdict == "problem"
    assert "lacks the scope PropertyDetail; it has SkipTrace, AutoComplete" in finding.found


async def test_a_test_key_is_told_from_a_live_one(config_of: Any, vendor: Any) -> None:
    vendor.answer["keyType"] = "test"
    assert (await told(config_of(realestateapi=vendor.settings)))["RealEstateAPI key"].verdict == "warning"


@pytest.mark.parametrize(
    ("ours", "workers", "theirs", "verdict"),
    [(10, 5, 60, "ok"), (70, 5, 60, "ok"), (70, 65, 60, "warning"), (0, 0, 60, "warning"), (0, 5, 60, "ok"),
     (9, 9, 0, "ok"), (9, 9, None, "ok")],
)  # fmt: skip
async def test_a_pace_above_the_key_s(
    ours: float, workers: float, theirs: float | None, verdict: str, config_of: Any, vendor: Any
) -> None:
    """What leaves is bounded by both of our rates; 0 is no bound."""
    vendor.answer["rateLimits"] = {"requestsPerSecond": theirs}
    settings = {**vendor.settings, "rate_per_second": ours}
    found = await told(config_of(realestateapi=settings, worker={"rate_per_second": workers}))
    assert found["RealEstateAPI rate"].verdict == verdict


class Vendor:
    """A RealEstateAPI whose word about its key can be chosen. `hold` keeps it from answering."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {
            "keyType": "live", "scopes": ["PropertyDetail"], "rateLimits": {"requestsPerSecond": 60}
        }  # fmt: skip
        self.settings: dict[str, Any] = {}
        self.hold: asyncio.Event | None = None

    async def key_info(self, request: web.Request) -> web.Response:
        if self.hold is not None:
            await self.hold.wait()
        return web.json_response({"statusCode": 200, "data": self.answer})


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    app = web.Application()
    app.router.add_get("/v2/key/info", vendor.key_info)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    vendor.settings = {"base_url": f"http://127.0.0.1:{runner.addresses[0][1]}", "api_key": "some-key-of-ours"}
    yield vendor
    if vendor.hold is not None:
        vendor.hold.set()
    await runner.cleanup()


async def test_a_vendor_that_does_not_answer_holds_up_nobody(config_of: Any, vendor: Vendor) -> None:
    vendor.hold = asyncio.Event()
    began = time.monotonic()
    found = await told(config_of(realestateapi=vendor.settings), within_s=0.5)
    assert time.monotonic() - began < 3
    assert problems(found) == ["RealEstateAPI"]
    assert found["RealEstateAPI"].found == "did not answer within 0.5 s"
    assert found["HighLevel ID fields"].verdict == "ok"


# --- HighLevel -------------------------------------------------------------------------------------------------------


async def test_a_refused_token(config_of: Any, sandbox: Sandbox) -> None:
    location = {"id": sandbox.location_id, "token": "pit-not-the-right-one"}
    config = config_of(ghl={"base_url": sandbox.ghl_url, "locations": [location]})
    found = await told(config)
    assert problems(found) == ["HighLevel ID token", "HighLevel ID fields"]
    assert f"the token of location {sandbox.location_id}" in found["HighLevel ID token"].todo
    assert "pit-not-the-right-one" not in str(found)


async def test_no_location_and_no_token(config_of: Any, sandbox: Sandbox) -> None:
    config = config_of(ghl={"base_url": sandbox.ghl_url, "locations": []})
    found = await examine(config, ENTRIES, now_ms=lambda: 0)
    assert [f.what for f in found if f.verdict == "problem"] == ["HighLevel"]
    config = config_of(ghl={"base_url": sandbox.ghl_url, "locations": [{"id": sandbox.location_id}]})
    assert problems(await told(config)) == ["HighLevel ID token"]


async def test_fields_that_are_missing_or_of_a_wrong_type(config_of: Any, sandbox: Sandbox) -> None:
    fields = sandbox.ghl.locations[sandbox.location_id].fields
    [value] = [field for field in fields.values() if field.name == "Estimated Value"]
    del fields[value.field_id]
    finding = (await told(config_of()))["HighLevel ID fields"]
    assert finding.verdict == "problem"
    assert "missing: estimated_value; values of those are not written" in finding.found
    assert finding.todo == f"leadenrich setup --location {sandbox.location_id}"
    fields[value.field_id] = replace(value, data_type="TEXT")
    finding = (await told(config_of()))["HighLevel ID fields"]
    assert finding.verdict == "problem"
    assert "estimated_value is TEXT, not NUMERICAL" in finding.found


# --- alerts ----------------------------------------------------------------------------------------------------------


async def test_an_alert_is_posted_where_it_is_asked_for_only(config_of: Any) -> None:
    async with taking_alerts() as slack:
        config = config_of(alerts={"url": slack.url})
        assert "alerts" not in await told(config)
        assert not slack.texts
        assert (await told(config, alert=True))["alerts"].verdict == "ok"
        assert slack.texts == ["leadenrich lead-enrichment. This is a try: alerts arrive here. Do: nothing."]
        slack.answers = [404]
        finding = (await told(config, alert=True))["alerts"]
    assert (finding.verdict, finding.found) == ("problem", "alerts.url answered 404: is the webhook still there?")
    assert (await told(config_of(), alert=True))["alerts"].found == "alerts.url is not set"


# --- the command -----------------------------------------------------------------------------------------------------


async def test_the_command_s_status_says_whether_something_is_wrong(
    tmp_path: Path, sandbox: Sandbox, safe_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    good = written(tmp_path, sandbox, safe_redis.url)
    assert await asyncio.to_thread(run, argparse.Namespace(config=good, json=False, alert=False)) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert ["Redis append-only file", "ok", "on", ""] in rows
    bad = written(tmp_path, sandbox, safe_redis.url, realestateapi={"api_key": "a-wrong-key"})
    assert await asyncio.to_thread(run, argparse.Namespace(config=bad, json=False, alert=False)) == 1


async def test_at_a_shell_a_missing_secret_may_be_the_daemon_s_own(
    tmp_path: Path, safe_redis: RedisServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the credentials can be read, a secret that is not among them is simply missing."""
    path = tmp_path / "config.toml"
    path.write_text(f'[redis]\nurl = "{safe_redis.url}"\n[[ghl.locations]]\nid = "loc1"\n')
    for folder, told in ((None, True), (tmp_path, False)):
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        if folder:
            monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        assert await asyncio.to_thread(run, argparse.Namespace(config=path, json=True, alert=False)) == 1
        rows = {row["what"]: row["todo"] for row in json.loads(capsys.readouterr().out)}
        for what in ("configuration ghl.webhook_token", "RealEstateAPI key", "HighLevel loc1 token"):
            assert ("`systemctl cat leadenrich` names those" in rows[what]) is told, what


async def test_a_vendor_that_repeats_a_secret_does_not_show_it(
    tmp_path: Path, sandbox: Sandbox, safe_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """HighLevel names the location after the admin token, of all things, with a line break in it."""
    sandbox.ghl.locations[sandbox.location_id].name = "the-admin-token\nproblem"
    path = written(tmp_path, sandbox, safe_redis.url)
    assert await asyncio.to_thread(run, argparse.Namespace(config=path, json=True, alert=False)) == 0
    out = capsys.readouterr().out
    assert "the-admin-token" not in out
    [told] = [row for row in json.loads(out) if row["what"].endswith(" token")]
    assert told == {
        "what": f"HighLevel {sandbox.location_id} token",
        "verdict": "ok",
        "found": "reads the location ******** problem",
        "todo": "",
    }
