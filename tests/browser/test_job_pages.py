"""The list of jobs, a lead's page and the settings as people use them: with a script, without one, by the keyboard."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from browser.chromium import SCHEMES, Visitor
from browser.hostile import CORPUS
from browser.test_accessible import faults
from daemon_process import Inside, people

from leadenrich.sandbox.faults import Fault, Match

pytestmark = pytest.mark.asyncio(loop_scope="session")

STRICT = '[[rules]]\ncode = "LOW_EQUITY"\nparams = { percent = 99 }\n'
SHOWN = "document.body.textContent + [...document.querySelectorAll('input')].map(it => it.value)"
WIDTHS = (360, 1280)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def jobs(daemon: Inside) -> dict[str, str]:
    """A lead that went well and one that the vendor refused."""
    good, refused = people(daemon.sandbox, 2)
    daemon.sandbox.faults.add(Fault("bad_request", body="unheard of"), match=Match(address="101|"))
    ids = {"good": await daemon.tell(good), "refused": await daemon.tell(refused)}
    await daemon.ended(ids.values())
    return ids


async def an_outage(daemon: Inside, street: str) -> list[str]:
    """Two leads that failed on it: too few to pause the vendor, which is back."""
    daemon.sandbox.faults.add(Fault("server_error"), times=None, match=lambda call: street.upper() in call.address_key)
    ids = [await daemon.tell(contact) for contact in people(daemon.sandbox, 2, start=len(street) * 10, street=street)]
    await daemon.ended(ids)
    daemon.sandbox.faults.clear()
    return ids


@pytest_asyncio.fixture(loop_scope="session")
async def clerk(admin: Visitor) -> AsyncIterator[Visitor]:
    """Whatever the page did, the browser had nothing to complain of."""
    yield admin
    assert await admin.violations() == []
    assert admin.complaints == []
    assert admin.foreign == []


async def test_a_lead_runs_again_and_its_page_follows(clerk: Visitor, daemon: Inside) -> None:
    [job_id, *_] = await an_outage(daemon, "Retry St")
    await clerk.go(f"/jobs/{job_id}")
    assert "Not enriched: the last try failed too" in await clerk.page.locator(".headline").inner_text()
    await clerk.page.get_by_role("button", name="Run it again").click()
    await clerk.page.locator(".headline", has_text="Enriched at").wait_for()  # live: nobody reloads
    assert await clerk.page.get_by_role("button", name="Run it again").count() == 0
    assert "retried by" in await clerk.page.locator("#way + ol").inner_text()


async def test_all_that_failed_on_an_outage_run_again_without_a_script(
    visit: Any, daemon: Inside, tokens: dict[str, str]
) -> None:
    ids = await an_outage(daemon, "Bulk St")
    async with visit(java_script_enabled=False) as visitor:
        page = visitor.page
        await visitor.log_in(tokens["admin"])
        await visitor.go("/jobs")
        await page.get_by_label("State", exact=True).select_option("FAILED_FINAL")
        await page.locator("summary", has_text="More to filter by").click()
        await page.get_by_label("Reason of a failure").select_option("attempts_exhausted")
        await page.get_by_role("button", name="Find").click()
        await page.get_by_role("link", name="Run again all that are failed …").click()
        question = await page.locator("#what").inner_text()
        assert question == "Run again all failed jobs that fit: FAILED_FINAL, attempts_exhausted?"
        await page.get_by_role("button", name="Run again: ").click()
        assert "run again." in await page.get_by_role("status").inner_text()
        jobs = await daemon.ended(ids)
        assert {job["state"] for job in jobs} == {"SUCCEEDED"}
        assert visitor.complaints == []


async def test_the_chosen_stay_chosen_while_the_list_lives(clerk: Visitor, daemon: Inside) -> None:
    first, *_ = await an_outage(daemon, "Pick St")
    await clerk.go("/jobs?state=FAILED_FINAL")
    await clerk.page.locator("#live.on").wait_for()
    await clerk.page.locator(f"#pick-{first}").check()
    others = await an_outage(daemon, "Other Ln")
    await clerk.page.locator(f"#pick-{others[-1]}").wait_for()
    assert await clerk.page.locator(f"#pick-{first}").is_checked()
    await clerk.page.get_by_role("button", name="Run again the chosen …").click()
    await clerk.page.get_by_role("button", name="Run again: 1 job").click()
    assert clerk.page.url == f"{clerk.url}/jobs/{first}"
    await daemon.ended([first])
    assert {job["state"] for job in await daemon.ended(others)} == {"FAILED_FINAL"}


async def test_what_the_filter_shows_is_saved_as_csv(clerk: Visitor, jobs: dict[str, str], tmp_path: Path) -> None:
    await clerk.go("/jobs?reason=rejected_by_provider")
    async with clerk.page.expect_download() as download:
        await clerk.page.get_by_role("link", name="All of these as CSV").click()
    saved = await download.value
    assert saved.suggested_filename == "jobs.csv"
    await saved.save_as(tmp_path / "jobs.csv")
    rows = list(csv.DictReader(StringIO((tmp_path / "jobs.csv").read_text())))
    assert [(row["job"], row["name"]) for row in rows] == [(jobs["refused"], "Pat Resident")]


async def test_other_rules_are_tried_without_buying(clerk: Visitor, jobs: dict[str, str], daemon: Inside) -> None:
    bought = len(daemon.sandbox.rea.calls)
    await clerk.go(f"/jobs/{jobs['good']}")
    await clerk.page.get_by_role("link", name="Try other rules on this lead").click()
    await clerk.page.get_by_label("Rules", exact=True).fill(STRICT)
    await clerk.page.get_by_role("button", name="Try them").click()
    said = clerk.page.get_by_role("status")
    assert "Would now be DISQUALIFIED by LOW_EQUITY." in await said.inner_text()
    await clerk.page.get_by_label("Rules", exact=True).fill(STRICT.replace("percent", "percnt"))
    await clerk.page.get_by_role("button", name="Try them").click()
    alert = clerk.page.get_by_role("alert")
    assert "rules[0].params.percnt: unknown param 'percnt', did you mean 'percent'?" in await alert.inner_text()
    assert await faults(clerk) == []
    assert len(daemon.sandbox.rea.calls) == bought


async def test_every_view_fits_and_is_open_to_all(clerk: Visitor, jobs: dict[str, str]) -> None:
    asked = f"/jobs/confirm?do=retry&id={jobs['refused']}"
    only_light = ("/settings", asked)  # what they are made of is in the others too
    for path in ("/jobs?state=FAILED_FINAL", f"/jobs/{jobs['good']}", *only_light):
        assert await clerk.go(path) == 200
        await clerk.unfold()
        for width in WIDTHS:
            await clerk.page.set_viewport_size({"width": width, "height": 800})
            assert await clerk.overhang() == 0, (path, width)
        assert await faults(clerk, *(SCHEMES[:1] if path in only_light else SCHEMES)) == [], path


async def test_a_keyboard_is_enough_to_run_a_lead_again(clerk: Visitor, daemon: Inside) -> None:
    [job_id, *_] = await an_outage(daemon, "Keys St")
    await clerk.go(f"/jobs?state=FAILED_FINAL&q={job_id}")
    for key, name in (("Space", "Choose Pat Resident"), ("Enter", "Run again the chosen …")):
        wanted = clerk.page.get_by_label(name) if key == "Space" else clerk.page.get_by_role("button", name=name)
        while not await wanted.evaluate("it => it === document.activeElement"):
            await clerk.page.keyboard.press("Tab")
        await clerk.page.keyboard.press(key)
    await clerk.page.wait_for_url("**/jobs/confirm*")
    sure = clerk.page.get_by_role("button", name="Run again: 1 job")
    while not await sure.evaluate("it => it === document.activeElement"):
        await clerk.page.keyboard.press("Tab")
    await clerk.page.keyboard.press("Enter")
    await clerk.page.wait_for_url(f"**/jobs/{job_id}")
    [job] = await daemon.ended([job_id])
    assert job["state"] == "SUCCEEDED"


async def test_hostile_text_is_text_in_every_form(visit: Any, jobs: dict[str, str], tokens: dict[str, str]) -> None:
    """In a browser that does not obey the policy: what is not escaped would run."""
    text = "".join(CORPUS)
    async with visit(bypass_csp=True) as visitor:
        await visitor.log_in(tokens["admin"])
        await visitor.go("/settings")
        await visitor.page.get_by_label("Rules", exact=True).fill(f"[[rules]]\ncode = '''{text}'''\n")
        await visitor.page.get_by_label("A job's id").fill(CORPUS[0])
        await visitor.page.get_by_role("button", name="Try them").click()
        assert "is not a code" in await visitor.page.get_by_role("alert").inner_text()
        await assert_nothing_ran(visitor)
        told = urlencode(dict.fromkeys(("q", "contact", "location"), text[:800]))
        for path in (f"/jobs?{told}", f"/jobs/confirm?do=retry&{told}"):
            assert await visitor.go(path) == 200
            assert CORPUS[0] in await visitor.page.evaluate(SHOWN)
            await assert_nothing_ran(visitor)
        assert visitor.complaints == []


async def assert_nothing_ran(visitor: Visitor) -> None:
    assert await visitor.foreign_markup() == []
    assert await visitor.pwned() is None
