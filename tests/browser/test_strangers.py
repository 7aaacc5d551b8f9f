"""Without a token nothing under /api and no page answers; no path leads out of the pages. Spoken without a browser."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from daemon_process import ADMIN, Inside, people

from leadenrich.config import GhlSettings, QueueSettings, ServerSettings
from leadenrich.telemetry.health import Health
from leadenrich.web.app import WebParts, create_app
from leadenrich.web.ports import Finding
from leadenrich.web.static_files import static_path

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Signed or proven by their own means, or nothing to keep from anybody.
OPEN = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/static/{name}",
    "/login",
    "/logout",
    "/openapi.json",
    "/webhooks/ghl",
    "/webhooks/ghl/workflow",
}
WRONG = (
    "",
    "Bearer",
    "Bearer wrong",
    "Bearer  ",
    "Basic YWRtaW46YWRtaW4=",
    f"Basic {ADMIN}",
    f"bearer {ADMIN}x",
    ADMIN,
)

TRAVERSALS = (
    "../config.toml",
    "..%2fconfig.toml",
    "%2e%2e/config.toml",
    "%2e%2e%2fconfig.toml",
    "%252e%252e%252fconfig.toml",
    "....//config.toml",
    "..;/config.toml",
    "..\\config.toml",
    "..%5cconfig.toml",
    "%c0%ae%c0%ae/config.toml",
    "%uff0e%uff0e/config.toml",
    "../../../../../../etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "file:///etc/passwd",
    "style.css/../../app.py",
    "style.css%00.py",
    "./style.css%2f..%2f..%2fapp.py",
    "../app.py",
    "%2e%2e%2fapp.py",
    "..%00/",
    "?name=../../app.py",
)


def routes() -> list[tuple[str, str]]:
    """Method and pattern of everything the daemon serves, read off the application itself."""
    parts = WebParts(
        server=ServerSettings(),
        ghl=GhlSettings(),
        queue=QueueSettings(),
        intake=cast(Any, None),
        views=cast(Any, None),
        operations=cast(Any, None),
        finding=Finding(cast(Any, None), cast(Any, None), {}),
        feed=cast(Any, None),
        health=Health(),
        render_metrics=bytes,
    )
    found = {
        (route.method, resource.canonical) for resource in create_app(parts).router.resources() for route in resource
    }
    return sorted(found)


GUARDED = [route for route in routes() if route[1] not in OPEN]


async def test_what_is_open_is_known() -> None:
    """A new route is guarded, or it is named here."""
    assert {pattern for _, pattern in routes()} >= OPEN
    assert ("GET", "/") in GUARDED
    assert ("GET", "/api/v1/jobs/{id}") in GUARDED


async def a_job(daemon: Inside) -> str:
    known = list(await daemon.jobs())
    return known[0] if known else await daemon.tell(people(daemon.sandbox, 1)[0])


async def status(daemon: Inside, method: str, path: str, headers: dict[str, str], query: str = "") -> int:
    """Of a request that could queue a lead; nothing of the lead that is there may be in the answer."""
    headers = {"Content-Type": "application/json", **headers}
    url = daemon.url + path + query
    async with daemon.session.request(method, url, data=b'{"contact_id":"X"}', headers=headers) as answer:
        assert b"Maple" not in await answer.read()
        return answer.status


async def test_without_a_token_nothing_is_told_or_done(daemon: Inside) -> None:
    job_id = await a_job(daemon)
    for method, pattern in GUARDED:
        path = pattern.replace("{id}", job_id).replace("{name}", "realestateapi")
        assert await status(daemon, method, path, {}) == 401, (method, path)
        assert await status(daemon, method, path, {"Cookie": f"leadenrich_session={ADMIN}"}) == 401, (method, path)
        assert await status(daemon, method, path, {}, f"?token={ADMIN}&admin_token={ADMIN}") == 401, (method, path)
        forwarded = {"X-Forwarded-For": "127.0.0.1", "X-Webhook-Token": ADMIN, "X-HTTP-Method-Override": "GET"}
        assert await status(daemon, method, path, forwarded) == 401, (method, path)
    assert list(await daemon.jobs()) == [job_id]


async def test_a_wrong_token_is_as_good_as_none(daemon: Inside) -> None:
    job_id = await a_job(daemon)
    paths = sorted({(method, pattern.replace("{id}", job_id)) for method, pattern in GUARDED if method != "HEAD"})
    wrong = [(*paths[number % len(paths)], told) for number, told in enumerate(WRONG)]
    statuses = [status(daemon, method, path, {"Authorization": told}) for method, path, told in wrong]
    assert set(await asyncio.gather(*statuses)) == {401}
    assert list(await daemon.jobs()) == [job_id]


async def test_the_viewers_token_looks_and_does_not_touch(daemon: Inside, tokens: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {tokens['viewer']}", "Content-Type": "application/json"}
    before = await daemon.jobs()
    for method, pattern in GUARDED:
        path = pattern.replace("{id}", await a_job(daemon)).replace("{name}", "realestateapi")
        if method not in ("GET", "HEAD"):
            body = b'{"contact_id":"X"}'
            async with daemon.session.request(method, daemon.url + path, data=body, headers=headers) as answer:
                assert answer.status == 403, (method, path)
    assert (await daemon.jobs()).keys() == before.keys()


@pytest.mark.parametrize("prefix", ["/static/", "/jobs/", "/api/v1/jobs/", "/"])
async def test_no_path_leads_to_a_file(daemon: Inside, prefix: str) -> None:
    """Sent as it stands: clients tidy paths up."""
    assert (await raw_get(daemon, static_path("style.css")))[0] == 200
    for path in TRAVERSALS:
        status, body = await raw_get(daemon, prefix + path)
        overview = prefix == "/" and path.startswith("?")
        assert status in ((200,) if overview else (400, 404)), prefix + path
        assert not [sign for sign in (b"root:", b"api_key", b"import annotations", b"color-scheme") if sign in body]


async def raw_get(daemon: Inside, target: str) -> tuple[int, bytes]:
    host, _, port = daemon.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = (f"GET {target} HTTP/1.1", f"Host: {host}:{port}", f"Authorization: Bearer {ADMIN}", "Connection: close")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1]), answer
