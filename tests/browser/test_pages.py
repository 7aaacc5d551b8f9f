"""The pages as people see them: log in, look round, search, read a job, log out; on any screen, by day and by night."""

from __future__ import annotations

import time
from typing import Any

import pytest
import pytest_asyncio
from browser.chromium import Scheme, Visitor
from daemon_process import Inside, people

from leadenrich.core.lead import PostalAddress
from leadenrich.sandbox.faults import Fault, Match

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def jobs(daemon: Inside) -> dict[str, str]:
    """The ids of a lead that went well, one that the vendor refused, and one of a very long name without breaks."""
    sandbox = daemon.sandbox
    good, refused = people(sandbox, 2)
    sandbox.faults.add(Fault("bad_request", body="The street is unheard of"), match=Match(address="101|"))
    long = sandbox.ghl.add_contact(
        "Contact" + "x" * 120,
        sandbox.location_id,
        address=PostalAddress("1234567" + "Llanfairpwllgwyngyll" * 8, "Springfield", "IL", "62704"),
        first_name="Wolfeschlegelsteinhausenbergerdorff" * 3,
        last_name="Senior",
        email="a" * 60 + "@" + "b" * 60 + ".example.com",
    )
    ids = {"good": await daemon.tell(good), "refused": await daemon.tell(refused), "long": await daemon.tell(long)}
    await daemon.ended(ids.values())
    return ids


async def assert_clean(visitor: Visitor) -> None:
    """No violation of the policy, no complaint of the browser, nothing asked of anybody else."""
    assert await visitor.violations() == []
    assert visitor.complaints == []
    assert visitor.foreign == []


async def test_the_way_from_the_door_to_a_job_and_out_again(
    visit: Any, jobs: dict[str, str], tokens: dict[str, str]
) -> None:
    async with visit() as visitor:
        page = visitor.page
        await visitor.log_in(tokens["admin"])
        assert page.url == visitor.url + "/"
        assert await page.get_by_role("heading", level=1).inner_text() == "Overview"
        await page.get_by_role("link", name="Jobs", exact=True).click()
        assert await page.get_by_role("table", name="Jobs", exact=True).get_by_role("row").count() == 4
        await assert_clean(visitor)

        await page.get_by_label("Name, address, phone, e-mail or id").fill("100 Maple St")
        await page.get_by_role("button", name="Find").click()
        found = page.get_by_role("table", name="Jobs", exact=True)
        assert await found.get_by_role("link").all_inner_texts() == ["Pat Resident"]
        await assert_clean(visitor)

        await found.get_by_role("link").click()
        assert page.url == f"{visitor.url}/jobs/{jobs['good']}"
        assert "Enriched at" in await page.locator(".headline").inner_text()
        await assert_clean(visitor)

        await page.get_by_role("button", name="Log out").click()
        assert await page.get_by_role("button", name="Log in").is_visible()
        assert await visitor.context.cookies() == []
        assert await visitor.go(f"/jobs/{jobs['good']}") == 401


async def test_a_job_that_failed_shows_its_error_when_asked(admin: Visitor, jobs: dict[str, str]) -> None:
    await admin.go(f"/jobs/{jobs['refused']}")
    error = admin.page.locator("details pre").first
    assert not await error.is_visible()
    await admin.page.locator("summary").first.click()
    assert "The street is unheard of" in await error.inner_text()
    await assert_clean(admin)


async def test_a_wrong_token_is_refused_and_slowed_down(visit: Any) -> None:
    async with visit() as visitor:
        began = time.monotonic()
        await visitor.log_in("not-the-admin-token")
        alert = visitor.page.get_by_role("alert")
        assert "This token is not server.admin_token or server.viewer_token." in await alert.inner_text()
        assert time.monotonic() - began >= 0.5
        assert await visitor.context.cookies() == []
        assert await visitor.go("/") == 401


@pytest.mark.parametrize("who", ["admin", "viewer"])
async def test_the_cookie_is_out_of_the_reach_of_scripts_and_of_other_sites(
    visit: Any, tokens: dict[str, str], who: str
) -> None:
    async with visit() as visitor:
        await visitor.log_in(tokens[who])
        [cookie] = await visitor.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
        assert tokens[who] not in cookie["value"]
        assert await visitor.page.evaluate("document.cookie") == ""
        assert await visitor.page.evaluate("localStorage.length + sessionStorage.length") == 0


WIDTHS = (320, 360, 768, 1280)
GROUNDS: dict[Scheme, str] = {"light": "rgb(246, 247, 248)", "dark": "rgb(20, 23, 26)"}
FITS = dict.fromkeys(((width, scheme) for width in WIDTHS for scheme in GROUNDS), 0)


async def test_every_page_fits_every_window(visit: Any, jobs: dict[str, str], tokens: dict[str, str]) -> None:
    """Nobody scrolls sideways, by day or night, whatever stands there; and the ground follows the reader's scheme."""
    async with visit() as visitor:
        await visitor.go("/")
        assert await overhangs(visitor) == FITS
        await visitor.log_in(tokens["admin"])
        for path in ("/", "/jobs", "/search?q=e", *(f"/jobs/{job_id}" for job_id in jobs.values()), "/jobs/00unknown"):
            await visitor.go(path)
            await visitor.unfold()
            assert await overhangs(visitor) == FITS, path
        for scheme, colour in GROUNDS.items():
            await visitor.page.emulate_media(color_scheme=scheme)
            ground = await visitor.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            assert ground == colour
        visitor.forget_refusals()
        await assert_clean(visitor)


async def overhangs(visitor: Visitor) -> dict[tuple[int, Scheme], int]:
    """By how many pixels the page is wider than windows of these widths, by day and by night."""
    found = {}
    for scheme in GROUNDS:
        await visitor.page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            await visitor.page.set_viewport_size({"width": width, "height": 800})
            found[width, scheme] = await visitor.overhang()
    return found


async def test_a_long_name_squeezes_no_other_column(admin: Visitor, jobs: dict[str, str]) -> None:
    await admin.page.set_viewport_size({"width": 1280, "height": 800})
    await admin.go("/jobs")
    lines = """() => [...document.querySelectorAll('.jobs thead th, .jobs td')].map(it => {
      const words = document.createRange();
      words.selectNodeContents(it);
      return new Set([...words.getClientRects()].map(rect => Math.round(rect.bottom / 10))).size;
    })"""
    assert set(await admin.page.evaluate(lines)) == {1}
