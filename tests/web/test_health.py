"""Alive, ready, measured; and the same told to systemd."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from leadenrich.config import Secret, ServerSettings
from leadenrich.telemetry.health import Health, watchdog_interval
from leadenrich.web.app import Limits, WebServer, create_probe_app

Web = Any


async def test_alive_says_nothing_about_ready(web: Web) -> None:
    response, answer = await web.call("GET", "/healthz")
    assert (response.status, answer) == (200, {"alive": True})
    assert (await web.call("GET", "/readyz"))[0].status == 503
    assert (await web.call("HEAD", "/healthz"))[0].status == 200


async def test_ready_is_told_by_half_and_part(web: Web) -> None:
    _, answer = await web.call("GET", "/readyz")
    assert answer["web"]["problems"] == {"start": "is starting"}
    web.health.ready()
    response, answer = await web.call("GET", "/readyz")
    assert response.status == 200
    assert answer == {
        "ready": True, "web": {"ready": True, "problems": {}}, "worker": {"ready": True, "problems": {}}
    }  # fmt: skip
    web.health.report("worker", "redis", "cannot be reached")
    web.health.report("worker", "redis", "cannot be reached")
    response, answer = await web.call("GET", "/readyz")
    assert (response.status, response.content_type) == (503, "application/problem+json")
    assert (answer["status"], answer["detail"]) == (503, "worker: redis: cannot be reached")
    assert answer["web"] == {"ready": True, "problems": {}}
    assert answer["worker"] == {"ready": False, "problems": {"redis": "cannot be reached"}}
    web.health.report("worker", "redis", None)
    assert (await web.call("GET", "/readyz"))[0].status == 200


async def test_a_paused_provider_is_shown_and_no_trouble(web: Web) -> None:
    web.health.ready()
    web.health.note("realestateapi", "paused: out of credit")
    response, answer = await web.call("GET", "/readyz")
    assert (response.status, answer["notes"]) == (200, {"realestateapi": "paused: out of credit"})
    web.health.note("realestateapi", None)
    web.health.note("realestateapi", None)
    assert "notes" not in (await web.call("GET", "/readyz"))[1]


async def test_what_stops_is_not_ready(web: Web) -> None:
    web.health.ready()
    web.health.stopping()
    assert (await web.call("GET", "/readyz"))[0].status == 503
    assert (await web.call("GET", "/healthz"))[0].status == 200


def test_a_half_that_does_not_run_has_no_say() -> None:
    health = Health(("web",))
    health.ready()
    health.report("worker", "pool", "stuck")
    report = health.report_now()
    assert report.ready
    assert report.worker is None


async def test_metrics_follow_their_setting(start_web: Any) -> None:
    admin = {"Authorization": "Bearer the-admin-token"}
    for setting, plain, with_token in (("open", 200, 200), ("token", 401, 200), ("off", 404, 404)):
        async with start_web(server={"metrics": setting}) as web:
            assert (await web.call("GET", "/metrics"))[0].status == plain
            response, text = await web.call("GET", "/metrics", headers=admin)
            assert response.status == with_token
            if with_token == 200:
                assert text == "leadenrich_up 1\n"
                assert response.headers["Content-Type"].startswith("text/plain; version=")


async def test_a_worker_alone_shows_its_probes_and_nothing_else() -> None:
    health = Health(("worker",))
    health.ready()
    app = create_probe_app(ServerSettings(admin_token=Secret("t")), health, lambda: b"x 1\n")
    async with WebServer(app, limits=Limits(drain_s=0.01)) as server, aiohttp.ClientSession(server.url) as session:
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/", 404), ("/api/v1/jobs", 404)):
            async with session.get(path) as response:
                assert response.status == status, path


# --- systemd -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["path", "abstract"])
def notified(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """systemd's end of the notify socket: answers the next datagram's lines."""
    shown = str(tmp_path / "notify") if request.param == "path" else f"@leadenrich-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(shown.replace("@", "\0", 1) if shown.startswith("@") else shown)
        sock.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", shown)
        yield lambda: sock.recv(4096).decode().splitlines()


def test_systemd_hears_the_life(notified: Any) -> None:
    health = Health()
    health.ready()
    assert notified() == ["READY=1"]
    health.watchdog()
    assert notified() == ["WATCHDOG=1"]
    health.reloading()
    first, second = notified()
    assert first == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", second)
    health.ready("reloaded")
    assert notified() == ["READY=1", "STATUS=reloaded"]
    health.stopping()
    assert notified() == ["STOPPING=1"]


@pytest.mark.parametrize("address", ["", "nonsense", "/nowhere/notify"])
def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    health = Health()
    health.ready()
    assert health.report_now().ready


@pytest.mark.parametrize(
    ("usec", "pid", "interval"),
    [
        ("30000000", "ours", 15.0),
        ("30000000", "", 15.0),
        ("30000000", "1", None),
        ("", "", None),
        ("0", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_s_pace(monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, interval: float | None) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid.replace("ours", str(os.getpid())))
    assert watchdog_interval() == interval
