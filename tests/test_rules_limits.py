"""Bounds that no single part owns: connections, waits, what may hold up the loop; and the word to systemd."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import re
import signal
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from daemon_process import new_sandbox, process, settings_for

from leadenrich.config import Config, RedisSettings, ServerSettings
from leadenrich.config.redis_urls import redis_address
from leadenrich.core.address import normalise
from leadenrich.core.lead import PostalAddress
from leadenrich.enrich.mapping import compile_mapping
from leadenrich.enrich.names import LeadNames
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import compile_rules
from leadenrich.providers import http
from leadenrich.providers.answers import Answer
from leadenrich.providers.realestateapi import understood
from leadenrich.store import servers
from leadenrich.web.connection import Limits
from leadenrich.web.payload import SignedEvent, decode
from leadenrich.web.problems import Refused

ROOT: Final = Path(__file__).parents[1]
SAMPLES: Final = ROOT / "tests" / "data" / "samples"
HOLDS_UP_S: Final = 0.05


def test_a_client_s_bounds_are_those_of_the_rule() -> None:
    limits = Limits()
    assert (limits.head_s, limits.body_s, limits.lingering_s, limits.connections_max) == (15, 5, 1, 512)
    assert ServerSettings().max_body_bytes == 262_144


def test_the_unit_has_files_for_four_times_the_connections() -> None:
    """Else accepting fails in the system, before our own cap can say no."""
    unit = (ROOT / "systemd" / "leadenrich.service").read_text("utf-8")
    [files] = re.findall(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)
    assert int(files) >= 4 * Limits().connections_max


def test_a_vendor_s_bounds_are_those_of_the_rule() -> None:
    assert (http.CONNECT_S, http.BODY_BYTES_MAX) == (5.0, 2 * 1024 * 1024)
    assert (Config().realestateapi.timeout, Config().ghl.timeout) == (15.0, 15.0)
    assert pytest.approx(10.0) == 15.0 * http.SILENCE_SHARE


async def test_no_command_waits_longer_than_two_seconds_and_none_is_repeated() -> None:
    """redis-py's own defaults wait 5 s and repeat ten times; what may be repeated, we repeat, for it is safe to."""
    redis = servers.open_single(redis_address(RedisSettings().url))
    for client, silence_s in ((redis._commands, 2.0), (redis._listener, None)):
        options = client.connection_pool.connection_kwargs
        assert options["socket_timeout"] == silence_s
        assert options["socket_connect_timeout"] == 2.0
        assert options["retry"]._retries == 0
        assert options["retry_on_error"] == []
    assert redis._commands.connection_pool.timeout == 2.0
    assert 15 <= redis._commands.connection_pool.connection_kwargs["health_check_interval"] <= 30
    assert redis._commands.connection_pool is not redis._listener.connection_pool
    await redis.close()


# --- the loop --------------------------------------------------------------------------------------------------------


def quickest(work: Callable[[], object], times: int = 9) -> float:
    """CPU seconds of the best of some runs: what it costs, not what else the machine did meanwhile."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return best


def test_the_largest_record_does_not_hold_up_the_loop() -> None:
    """2 MB, the most that is read: understood, judged and mapped."""
    body = json.loads((SAMPLES / "property_detail.200.sfr_clean.json").read_text("utf-8"))
    sales = body["data"]["saleHistory"] or [{"saleDate": "2001-01-01", "saleAmount": 1}]
    body["data"]["saleHistory"] = sales * ((http.BODY_BYTES_MAX - 100_000) // len(json.dumps(sales)))
    raw = json.dumps(body).encode()
    assert http.BODY_BYTES_MAX * 0.8 < len(raw) <= http.BODY_BYTES_MAX
    rules, mapping = compile_rules("standard", ()), compile_mapping("standard", {})
    address = normalise(PostalAddress("742 Evergreen Ter", "Springfield", "IL", "62704"))
    now = datetime(2026, 11, 23, tzinfo=UTC)

    def understand() -> Any:
        return understood(Answer("realestateapi", 200, {}, raw))

    found = understand()
    record = PropertyRecord(found.record)
    assert quickest(understand) < HOLDS_UP_S
    judge = lambda: rules.judge(record, lead_names=LeadNames(), address=address, duplicate=False, now=now)  # noqa: E731
    assert quickest(judge) < HOLDS_UP_S
    assert mapping.entries


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "ContactCreate", "id": "' + b"x" * 262_000 + b'"}',
        b'{"type": "ContactCreate", "customFields": [' + b'{"id":"a","value":"b"},' * 11_000 + b"{}]}",
        b"[" * 131_000 + b"]" * 131_000,
        b'{"a":' * 43_000 + b"1" + b"}" * 43_000,
        b'{"id": 1' + b"0" * 262_000 + b"}",
        b'{"type": "' + b"\\ud800" * 43_000 + b'"}',
    ],
    ids=["one long text", "many members", "deep lists", "deep objects", "a huge number", "half surrogates"],
)
def test_the_largest_webhook_does_not_hold_up_the_loop(body: bytes) -> None:
    assert len(body) <= ServerSettings().max_body_bytes

    def read() -> None:
        with contextlib.suppress(Refused):
            decode(body, SignedEvent)

    assert quickest(read) < HOLDS_UP_S


def test_what_costs_more_is_done_in_a_thread() -> None:
    """The address parser loads a model: 0.3 s, once, before READY."""
    from leadenrich.daemon import worker_half

    assert "asyncio.to_thread(warm)" in inspect.getsource(worker_half)


# --- systemd ---------------------------------------------------------------------------------------------------------


async def test_systemd_hears_ready_signs_of_life_a_reload_and_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a process of its own. Signs of life come from the loop: every half of what the unit allows."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        loop = asyncio.get_running_loop()

        async def until_said(word: str) -> list[str]:
            heard: list[str] = []
            async with asyncio.timeout(15):
                while not any(word in told for told in heard):
                    heard += (await loop.sock_recv(notify, 4096)).decode().splitlines()
            return heard

        (tmp_path / "daemon").mkdir()
        async with new_sandbox() as sandbox:
            settings = settings_for(sandbox, "fakeredis://")
            async with process(sandbox, tmp_path / "daemon", settings) as daemon:
                await daemon.start()
                await until_said("READY=1")
                for _ in range(3):
                    began = loop.time()
                    await until_said("WATCHDOG=1")
                    assert loop.time() - began < 0.4
                daemon.signal(signal.SIGHUP)
                await until_said("RELOADING=1")
                await until_said("READY=1")
                daemon.signal(signal.SIGTERM)
                await until_said("STOPPING=1")
                assert await daemon.exit_status() == 0
