"""Other sites' pages, open in the browser of somebody who is logged in, can neither act nor look."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from browser.chromium import Visitor
from browser.other_site import HOSTS, OtherSite, send_form
from daemon_process import Inside
from playwright.async_api import Error

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("host", HOSTS)
async def test_a_form_of_another_page_logs_nobody_out(admin: Visitor, other: OtherSite, host: str) -> None:
    status, body = await send_form(admin, other, host, "/logout", ("csrf", "guess"))
    assert (status, "another site" in body) == (403, True)
    assert await admin.go("/") == 200


@pytest.mark.parametrize("host", HOSTS)
async def test_a_form_of_another_page_logs_nobody_in(
    visit: Any, other: OtherSite, host: str, tokens: dict[str, str]
) -> None:
    """Else a stranger could have the operator work in the stranger's session."""
    async with visit() as visitor:
        status, _ = await send_form(visitor, other, host, "/login", ("token", tokens["admin"]))
        assert status == 403
        assert await visitor.context.cookies() == []


@pytest.mark.parametrize("host", HOSTS)
async def test_a_form_of_another_page_queues_no_lead(
    admin: Visitor, daemon: Inside, other: OtherSite, host: str
) -> None:
    """As text/plain, a form can spell JSON; and the log-in's cookie does not act."""
    spelled = ('{"contact_id":"Forged","address1":"', '1 Maple St","postal_code":"62704"}')
    status, _ = await send_form(admin, other, host, "/api/v1/leads", spelled, "text/plain")
    assert status in (401, 415)
    assert await daemon.jobs() == {}


@pytest.mark.parametrize("host", HOSTS)
async def test_another_page_reads_nothing(admin: Visitor, other: OtherSite, host: str) -> None:
    other.html = ""
    await admin.page.goto(other.url(host))
    read = """async path => {
      try { return await (await fetch(path, {credentials: 'include'})).text(); } catch (refused) { return null; }
    }"""
    for path in ("/", "/api/v1/jobs", "/api/v1/stats", "/metrics", "/readyz"):
        assert await admin.page.evaluate(read, admin.url + path) is None


@pytest.mark.parametrize("host", HOSTS)
async def test_no_page_shows_ours_in_a_frame(admin: Visitor, other: OtherSite, host: str) -> None:
    ours = admin.url + "/"
    other.html = f"<iframe src='{ours}'></iframe><object data='{ours}'></object><embed src='{ours}'>"
    await admin.page.goto(other.url(host))
    main, *framed = admin.page.frames
    assert main.url == other.url(host)
    assert framed
    shown = []
    for frame in framed:
        with contextlib.suppress(Error):  # one that was refused may be gone by now
            if "leadenrich" in await frame.content():
                shown.append(frame.url)
    assert not shown
    assert [it for it in admin.complaints if "frame-ancestors 'none'" in it]


@pytest.mark.parametrize("host", HOSTS)
async def test_a_link_from_another_page_needs_the_log_in(admin: Visitor, other: OtherSite, host: str) -> None:
    """SameSite=Strict: a link from another site comes without the cookie; one from another port is the same site."""
    other.html = f"<a href='{admin.url}/'>look</a>"
    await admin.page.goto(other.url(host))
    async with admin.page.expect_navigation() as navigation:
        await admin.page.get_by_role("link").click()
    answer = await navigation.value
    assert answer is not None
    assert answer.status == (200 if host == "127.0.0.1" else 401)
