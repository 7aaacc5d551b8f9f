"""The page, its log-in and log-out, and what it never does."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from leadenrich.core.job import JobState, Lane
from leadenrich.store.switches import Pause
from leadenrich.store.views import JobQuery
from leadenrich.web.static_files import static_path

Web = Any
SINCE = "2026-11-24 07:28:03 UTC"
PAUSED = {
    "realestateapi": Pause("credit", "out of credit", since_ms=1_795_505_283_250),
    "": Pause("operator", "counting the stock", since_ms=1_795_505_283_250, by="Ann"),
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NASTY = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'-alert(1)-'", "{{7*7}}", "</td></table><h1>x"]


async def log_in(web: Web, token: str = "the-admin-token", **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await web.call("POST", "/login", data={"token": token}, headers=sent))[0]


async def test_a_stranger_gets_the_log_in_page(web: Web) -> None:
    response, page = await web.call("GET", "/")
    assert (response.status, response.content_type) == (401, "text/html")
    assert '<form method="post" action="/login">' in page
    assert "1,234" not in page


@pytest.mark.parametrize("token", ["the-admin-token", "the-viewer-token"])
async def test_a_token_opens_the_page(web: Web, token: str) -> None:
    web.views.paused = PAUSED
    response = await log_in(web, token)
    assert (response.status, response.headers["Location"]) == (303, "/")
    cookie = response.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/"))
    assert token not in cookie
    response, page = await web.call("GET", "/")
    assert response.status == 200
    assert "1,234" in page  # jobs waiting
    assert f"realestateapi is paused since {SINCE} (out of credit). The account has no credit." in page
    assert f"The queue is paused by Ann since {SINCE} (counting the stock). No daemon takes a lead" in page
    assert "62 s" in page or "61 s" in page
    assert (await web.call("GET", "/api/v1/stats"))[0].status == 200  # the cookie serves the API too


async def test_a_wrong_token_opens_nothing(web: Web) -> None:
    response, _ = await web.call("POST", "/login", data={"token": "wrong"})
    assert (response.status, response.content_type) == (401, "text/html")
    assert "Set-Cookie" not in response.headers
    assert (await web.call("GET", "/"))[0].status == 401


async def test_log_out_ends_the_session_itself(web: Web) -> None:
    """Not only the cookie: a copy of it is worth nothing afterwards."""
    cookie = (await log_in(web)).cookies["leadenrich_session"].value
    _, page = await web.call("GET", "/")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert csrf is not None
    assert (await web.call("POST", "/logout", data={"csrf": "guess"}))[0].status == 403
    assert (await web.call("GET", "/"))[0].status == 200
    assert (await web.call("POST", "/logout", data={"csrf": csrf[1]}))[0].status == 303
    response, _ = await web.call("GET", "/", headers={"Cookie": f"leadenrich_session={cookie}"})
    assert response.status == 401


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_forms_of_other_sites_do_nothing(web: Web, headers: dict[str, str]) -> None:
    for path in ("/login", "/logout"):
        response, _ = await web.call("POST", path, data={"token": "the-admin-token"}, headers=headers)
        assert response.status == 403
        assert "Set-Cookie" not in response.headers


async def test_our_own_form_is_taken(web: Web) -> None:
    assert (await log_in(web, Origin=web.server.url, Sec_Fetch_Site="same-origin")).status == 303


async def test_forms_are_bounded(web: Web) -> None:
    assert (await web.call("POST", "/login", data=b"token=" + b"x" * 5000, headers=FORM))[0].status == 413
    assert (await web.call("POST", "/login", json={"token": "the-admin-token"}))[0].status == 415
    assert (await web.call("POST", "/login", data=b"&".join([b"a=b"] * 100), headers=FORM))[0].status == 400
    assert (await web.call("POST", "/login", data=b"token=\xff", headers=FORM))[0].status == 400
    assert (await web.call("POST", "/login", data=b"", headers=FORM))[0].status == 401


async def test_changed_tokens_end_all_log_ins(web: Web) -> None:
    from leadenrich.config import Secret
    from leadenrich.web.app import reconfigure

    await log_in(web)
    server = msgspec.structs.replace(web.parts.server, admin_token=Secret("another"))
    reconfigure(web.app, server, web.parts.ghl, web.parts.queue)
    assert (await web.call("GET", "/"))[0].status == 401
    assert (await log_in(web)).status == 401
    assert (await log_in(web, "another")).status == 303


async def test_what_comes_from_outside_stays_text(web: Web) -> None:
    names = ("id", "state", "lane", "contact_id", "outcome", "created_at")
    web.views.listed = [msgspec.structs.replace(web.views.listed[0], **dict.fromkeys(names, text)) for text in NASTY]
    web.views.next_cursor = NASTY[1]
    web.health.note("realestateapi", NASTY[0])
    await log_in(web)
    _, page = await web.call("GET", "/jobs", params={"q": NASTY[1]})
    assert "<script>" not in page
    assert "<img" not in page
    assert page.count("<h1>") == 1
    assert "&lt;script&gt;" in page
    assert "/jobs/&lt;script" in page


async def test_the_newest_jobs_are_of_all_states(web: Web, a_job: Callable[..., Any]) -> None:
    """Many failures hide no success, and a job that moves meanwhile is shown once."""
    listed = [a_job(id=f"00failed{n:02}", state="FAILED_FINAL") for n in range(30)]
    web.views.listed = [*listed, a_job(id="00later"), a_job(id="00later", state="PROCESSING"), a_job(id="00a")]
    await log_in(web)
    _, page = await web.call("GET", "/jobs")
    shown = re.findall(r'href="/jobs/(\w+)"', page)
    assert shown == ["00later", *(f"00failed{n:02}" for n in range(29, 5, -1))]
    assert "Newest jobs" in page


async def test_jobs_can_be_searched_without_a_script(web: Web) -> None:
    await log_in(web)
    web.views.next_cursor = "4.25"
    _, page = await web.call("GET", "/jobs?q=main+st&state=FAILED_FINAL&lane=bulk")
    assert web.views.asked == [JobQuery(q="main st", state=JobState.FAILED_FINAL, lane=Lane.BULK, limit=25)]
    assert "Jobs found" in page
    assert "No job fits." in page
    assert 'value="main st"' in page
    assert '<option value="FAILED_FINAL" selected>' in page
    assert 'href="/jobs?q=main+st&amp;state=FAILED_FINAL&amp;lane=bulk&amp;cursor=4.25"' in page
    assert (await web.call("GET", "/jobs?cursor=nonsense"))[0].status == 400
    assert (await web.call("GET", "/jobs?state=DONE"))[0].status == 400


async def test_the_overview_counts_and_names_what_is_paused(web: Web) -> None:
    await log_in(web)
    _, page = await web.call("GET", "/")
    assert '<a href="/jobs?state=QUEUED&amp;lane=live">1,234</a>' in page
    assert re.search(r"realestateapi</h3>\s*<p><strong[^>]*>paused</strong>", page)
    assert "2.5 calls a second in the last minute; 10 a second are allowed" in page
    assert "Credits today</dt><dd><strong>7</strong> <span>of 10: 70% of the budget" in page
    assert "<strong>1.2 s</strong> <span>or less for half, 30 s for 95 % of 4 live leads in the last hour" in page


@pytest.mark.parametrize("period", ["hour", "day", "week"])
async def test_the_chart_looks_back_as_far_as_asked(web: Web, period: str) -> None:
    await log_in(web)
    _, page = await web.call("GET", f"/?period={period}")
    assert f'<a href="/?period={period}" aria-current="true">' in page
    assert "&quot;series&quot;:{&quot;QUALIFIED&quot;:[0,1]" in page
    assert (await web.call("GET", "/?period=year"))[0].status == 400


async def test_the_search_tells_findings_and_jumps_to_ids(web: Web) -> None:
    await log_in(web)
    response, _ = await web.call("GET", "/search?q=%2000job1%20")
    assert (response.status, response.headers["Location"]) == (303, "/jobs/00job1")
    _, page = await web.call("GET", "/search", params={"q": NASTY[0]})
    assert "1 lead fits “&lt;script&gt;" in page
    assert "<script>" not in page
    assert 'href="/search?q=%3Cscript%3Ealert%281%29%3C%2Fscript%3E&amp;before=00older"' in page
    assert "Look further back" not in (await web.call("GET", "/search?q=x&before=00older"))[1]
    assert "Type into the box" in (await web.call("GET", "/search?q="))[1]
    assert (await web.call("GET", "/search?q=x&before=../x"))[0].status == 400
    web.parts.finding.search.state, web.views.paused = "QUEUED", PAUSED
    _, page = await web.call("GET", "/search?q=x")
    assert f"the queue is paused by Ann since {SINCE} (counting the stock); realestateapi is paused" in page


@pytest.mark.parametrize("path", ["/", "/search?q=x", "/search", "/jobs", "/jobs/00job1", "/jobs/unknown"])
async def test_a_page_can_be_walked_by_its_headings(web: Web, path: str) -> None:
    """One first heading, no level left out, every section named, and a way past the header."""
    await log_in(web)
    _, page = await web.call("GET", path)
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    named = re.findall(r'<section aria-labelledby="(\w+)"', page)
    assert len(named) == page.count("<section")
    assert all(f'<h2 id="{name}"' in page for name in named)
    if path != "/jobs/unknown":
        assert page.index('href="#content"') < page.index("<header>")
        assert '<main id="content"' in page


async def test_the_policy_allows_no_foreign_script_and_no_frame(web: Web) -> None:
    for path in ("/", "/jobs/00job1", static_path("style.css"), "/api/v1/stats", "/nowhere"):
        response, text = await web.call("GET", path)
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] in ("no-referrer", "same-origin")
        if response.content_type == "text/html":
            assert response.headers["Cache-Control"] == "no-store"
            assert "script-src 'self'; style-src 'self'" in policy
            assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?! src=\"/static/)", str(text))


async def test_static_files_are_kept_by_browsers_and_change_their_address_with_their_content(web: Web) -> None:
    response, css = await web.call("GET", static_path("style.css"))
    assert (response.status, response.content_type) == (200, "text/css")
    assert "prefers-color-scheme: dark" in css
    assert "url(" not in css
    assert "immutable" in response.headers["Cache-Control"]
    assert (await web.call("GET", "/static/style.css"))[0].status == 404


async def test_all_static_files_together_are_small(web: Web) -> None:
    await log_in(web)
    _, page = await web.call("GET", "/")
    paths = re.findall(r'"(/static/[^"]+)"', page)
    assert len(paths) == 7
    sent = {}
    for path in paths:
        async with web.session.get(web.server.url + path, headers={"Accept-Encoding": "identity"}) as plain:
            content = await plain.read()
        async with web.session.get(web.server.url + path, headers={"Accept-Encoding": "gzip"}) as packed:
            assert await packed.read() == content
            sent[path] = (len(content), int(packed.headers["Content-Length"]))
    assert sum(plain for plain, _ in sent.values()) <= 200_000
    assert sum(packed for _, packed in sent.values()) <= 70_000


async def test_without_a_token_the_loopback_sees_the_page(start_web: Any) -> None:
    async with start_web(server={"admin_token": None, "viewer_token": None}) as web:
        response, page = await web.call("GET", "/")
        assert response.status == 200
        assert "Log out" not in page
        web.views.listed = []
        assert "No job yet" in (await web.call("GET", "/jobs"))[1]


async def test_without_redis_the_page_says_so(web: Web) -> None:
    await log_in(web)
    web.views.away = True
    response, page = await web.call("GET", "/")
    assert response.status == 503
    assert "Redis cannot be read" in page
