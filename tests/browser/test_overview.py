"""The overview and the search as people use them: live without a reload, calm, at rest while hidden; forms that act."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from browser.chromium import Visitor
from browser.other_site import HOSTS, OtherSite, send_form
from daemon_process import ADMIN, Inside, people, until

from leadenrich.store import feed

pytestmark = pytest.mark.asyncio(loop_scope="session")

HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}"""
# Whether something was drawn in the colour of an outcome: the axes alone are grey.
DRAWN = """() => {
  const canvas = document.querySelector('.plot canvas');
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  for (let at = 0; at < pixels.length; at += 4)
    if (pixels[at + 3] > 200 && Math.max(pixels[at], pixels[at + 1], pixels[at + 2]) -
        Math.min(pixels[at], pixels[at + 1], pixels[at + 2]) > 60) return true;
  return false;
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def watcher(admin: Visitor) -> AsyncIterator[Visitor]:
    """At the overview, once it is live. Whatever it was shown, its browser had nothing to complain of."""
    await admin.page.locator("#live.on").wait_for()
    yield admin
    assert await admin.violations() == []
    assert admin.complaints == []
    assert admin.foreign == []


def fetched(visitor: Visitor) -> list[str]:
    """The paths of all requests from now on."""
    paths: list[str] = []
    visitor.page.on("request", lambda it: paths.append(it.url.removeprefix(visitor.url)))
    return paths


async def succeeded(visitor: Visitor) -> int:
    return int(await visitor.page.locator(".legend .qualified strong").inner_text())


async def test_it_follows_the_leads_without_a_reload_and_keeps_calm(watcher: Visitor, daemon: Inside) -> None:
    paths, loads = fetched(watcher), []
    watcher.page.on("load", lambda _: loads.append(1))
    await watcher.page.locator("summary", has_text="Pause the queue").click()
    await watcher.page.get_by_label("Why pause the queue?").fill("half a sen")
    before = await succeeded(watcher)
    ids = [await daemon.tell(contact) for contact in people(daemon.sandbox, 30, street="Live St")]
    await daemon.ended(ids)

    async def all_are_shown() -> bool:
        return await succeeded(watcher) == before + len(ids)

    await until(all_are_shown, "the page counts them all")
    assert await watcher.page.evaluate(DRAWN)
    assert (loads, {*paths}) == ([], {"/"})
    assert len(paths) <= 6  # for some 120 events in about two seconds
    assert await watcher.page.get_by_label("Why pause the queue?").input_value() == "half a sen"


async def test_it_rests_while_the_tab_is_hidden_and_says_so(watcher: Visitor, daemon: Inside) -> None:
    paths = fetched(watcher)
    await watcher.page.evaluate(HIDE, True)
    assert await watcher.page.locator("#live").inner_text() == "rests while hidden"
    before = await succeeded(watcher)
    [contact] = people(daemon.sandbox, 1, street="Hidden St")
    await daemon.ended([await daemon.tell(contact)])
    assert (paths, await succeeded(watcher)) == ([], before)
    await watcher.page.evaluate(HIDE, False)
    await watcher.page.locator("#live.on").wait_for()

    async def is_shown() -> bool:
        return await succeeded(watcher) == before + 1

    await until(is_shown, "what happened meanwhile")


async def test_who_is_cut_off_comes_back_by_itself_and_has_missed_nothing(
    watcher: Visitor, daemon: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, loads = await succeeded(watcher), []
    watcher.page.on("load", lambda _: loads.append(1))
    with monkeypatch.context() as too_slow:
        too_slow.setattr(feed, "BUFFER", -1)
        [contact] = people(daemon.sandbox, 1, street="Storm St")
        await daemon.ended([await daemon.tell(contact)])
        await until(lambda: daemon.said("listener_dropped"), "the page is cut off")

    async def is_shown() -> bool:
        return await succeeded(watcher) == before + 1

    await until(is_shown, "what happened meanwhile")
    await watcher.page.locator("#live.on").wait_for()
    assert loads == []
    told_of_the_cut = ("htmx:sse:error", "net::ERR_INCOMPLETE_CHUNKED_ENCODING")
    watcher.complaints[:] = [it for it in watcher.complaints if not any(words in it for words in told_of_the_cut)]


async def test_other_periods_are_a_click_away(watcher: Visitor) -> None:
    for period in ("24 hours", "week"):
        await watcher.page.get_by_role("link", name=f"the last {period}").click()
        assert await watcher.page.get_by_role("heading", name=f"What ended in the last {period}").is_visible()
        await watcher.page.locator(".plot canvas").wait_for()
        assert await succeeded(watcher) > 0


async def test_a_provider_is_paused_and_resumed_by_name(visit: Any, daemon: Inside, tokens: dict[str, str]) -> None:
    async with visit() as visitor:
        page = visitor.page
        await visitor.go("/")
        await page.get_by_label("Your name").fill("Ann <Operator>")
        await page.get_by_label("Token", exact=True).fill(tokens["admin"])
        await page.get_by_role("button", name="Log in").click()
        assert "Ann <Operator> (admin)" in await page.locator(".who").inner_text()
        await page.locator("summary", has_text="Pause realestateapi").click()
        await page.get_by_label("Why pause realestateapi?").fill("too many <misses>")
        await page.get_by_role("button", name="Pause realestateapi").click()
        assert await daemon.paused() == {"realestateapi": "operator: too many <misses>"}
        said = await page.locator("#fresh > .bad").inner_text()
        assert re.search(
            r"realestateapi is paused by Ann Operator since [-\d]+ [:\d]+ UTC \(too many <misses>\)\.", said
        )
        assert "Somebody" not in said
        await page.get_by_role("button", name="Resume realestateapi").click()
        await page.get_by_text("realestateapi gets calls again.").wait_for()
        assert await daemon.paused() == {}
        _, log = await daemon.get("/api/v1/audit")
        told = [(it["name"], it["action"], it["target"]) for it in log["entries"][:2]]
        assert told == [("Ann <Operator>", verb, "provider:realestateapi") for verb in ("resume", "pause")]


async def test_who_may_only_look_has_no_buttons_and_no_way_round(visit: Any, tokens: dict[str, str]) -> None:
    async with visit() as visitor:
        await visitor.log_in(tokens["viewer"])
        assert await visitor.page.get_by_role("button").all_inner_texts() == ["Search", "Log out"]
        csrf = await visitor.page.locator("[name=csrf]").first.get_attribute("value")
        assert await visitor.post("/queue/pause", {"csrf": csrf}) == 403


@pytest.mark.parametrize("csrf", ["", "guess"])
async def test_a_form_without_its_token_does_nothing(admin: Visitor, daemon: Inside, csrf: str) -> None:
    for path in ("/queue/pause", "/providers/realestateapi/pause"):
        assert await admin.post(path, {"csrf": csrf}) == 403
    _, stats = await daemon.get("/api/v1/stats")
    assert (stats["paused"], await daemon.paused()) == (None, {})


@pytest.mark.parametrize("host", HOSTS)
async def test_a_form_of_another_page_does_nothing(admin: Visitor, daemon: Inside, other: OtherSite, host: str) -> None:
    """Not even with the token, which no other page can read."""
    csrf = await admin.page.locator("[name=csrf]").first.get_attribute("value")
    for told in ("guess", csrf or ""):
        status, _ = await send_form(admin, other, host, "/queue/pause", ("csrf", told))
        assert status in (401, 403)  # from another site the cookie does not even come
    _, stats = await daemon.get("/api/v1/stats")
    assert stats["paused"] is None


async def test_a_phone_in_any_form_finds_its_lead_from_every_page(admin: Visitor, daemon: Inside) -> None:
    body = {"contact_id": "Called", "location_id": daemon.sandbox.location_id, "phone": "+12175550177",
            "full_name": "Grace Called", "address1": "7 Phone St", "city": "Springfield", "state": "IL",
            "postal_code": "62704"}  # fmt: skip
    status, answer, _ = await daemon.post(
        "/api/v1/leads",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN}"},
    )
    assert status == 202
    await daemon.ended([answer["job_id"]])
    page = admin.page
    for path, asked in (("/", "(217) 555-0177"), ("/jobs", "grace called"), ("/search", "7 phone street springfield")):
        await admin.go(path)
        await page.get_by_role("searchbox", name="Phone, e-mail, name, address or id").fill(asked)
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name=f"1 lead fits “{asked}”").wait_for()
        assert "Not enriched: HighLevel has no such contact any more" in await page.locator(".found").inner_text()
        assert await page.get_by_role("link", name="Grace Called").get_attribute("href") == f"/jobs/{answer['job_id']}"
    for known in ("Called", answer["job_id"]):
        await page.get_by_role("searchbox", name="Phone, e-mail, name, address or id").fill(known)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{admin.url}/jobs/{answer['job_id']}")
