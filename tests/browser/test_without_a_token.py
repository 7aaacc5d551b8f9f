"""With no token set the loopback may look and act; a browser on it must not lend that to others."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.chromium import visiting
from browser.other_site import HOSTS, OtherSite, send_form
from daemon_process import inside, new_sandbox, settings_for
from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")

POST = """async url => {
  const lead = {method: 'POST', body: '{"contact_id": "Forged"}', headers: {'Content-Type': 'application/json'}};
  try { return (await fetch(url, lead)).status; } catch (refused) { return null; }
}"""


async def test_without_a_token_other_names_and_other_pages_get_nothing(
    chromium: Browser, other: OtherSite, tmp_path: Path
) -> None:
    """The loopback may act without a token, but no page can borrow it, nor a name that was made to point here."""
    async with new_sandbox() as sandbox:
        settings = settings_for(sandbox, "fakeredis://", server={"admin_token": None})
        async with inside(sandbox, tmp_path, settings) as daemon, visiting(chromium, daemon.url) as visitor:
            assert await visitor.go("/") == 200
            spelled = ('{"contact_id":"Forged","address1":"', '1 Maple St","postal_code":"62704"}')
            for host in HOSTS:
                status, _ = await send_form(visitor, other, host, "/api/v1/leads", spelled, "text/plain")
                assert status in (403, 415)
            rebound = daemon.url.replace("127.0.0.1", "evil.example")
            for path in ("/", "/api/v1/jobs"):
                answer = await visitor.page.goto(rebound + path)
                assert answer is not None
                assert answer.status == 403
            # A page that came from that name before it was made to point here has no policy of ours.
            await visitor.context.route(f"{rebound}/before", lambda route: route.fulfill(body="", status=200))
            await visitor.page.goto(f"{rebound}/before")
            assert await visitor.page.evaluate(POST, f"{rebound}/api/v1/leads") == 403
            assert await visitor.page.evaluate(POST, f"{daemon.url}/api/v1/leads") is None
            assert await daemon.jobs() == {}
