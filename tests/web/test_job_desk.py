"""The list of jobs, what is done from it, and its CSV, on a real store."""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape
from io import StringIO
from typing import Any

import pytest
from leads import lead
from queue_desk import Desk
from store_office import office_store

from leadenrich.config import QueueSettings
from leadenrich.core.job import Lane, Outcome, Reason
from leadenrich.core.retry import Bury, Failure
from leadenrich.store.queue import Submission
from leadenrich.web.csv_export import safe_cell

Web = Any


@dataclass
class Pages:
    """A browser without scripts that is logged in, and the desk behind the pages."""

    web: Web
    desk: Desk

    async def get(self, path: str) -> tuple[int, str]:
        response, text = await self.web.call("GET", path)
        return response.status, text

    async def log_in(self, token: str = "the-admin-token") -> None:
        response, _ = await self.web.call("POST", "/login", data={"token": token, "name": "Ada"})
        assert response.status == 303

    async def submit(self, page: str, action: str, **changes: str) -> tuple[int, str]:
        """Send the page's form to `action` with its hidden fields, as browsers do; where it leads, or what it says."""
        form = re.search(rf'<form method="post" action="{action}".*?</form>', page, re.DOTALL)
        assert form is not None, f"no form for {action}"
        fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[0])
        data = [(name, changes.get(name, unescape(value))) for name, value in fields]
        response, text = await self.web.call("POST", action, data=data)
        return response.status, response.headers.get("Location", text)

    async def failed(self, count: int, reason: Reason = Reason.ATTEMPTS_EXHAUSTED) -> list[str]:
        for number in range(count):
            await self.desk.new(f"{reason}{number}")
        claims = await self.desk.claim(count)
        for claim in claims:
            await self.desk.bury(claim, reason)
        return [claim.job_id for claim in claims]

    async def states(self, ids: list[str]) -> list[str]:
        views = [await self.desk.views.job(job_id) for job_id in ids]
        return [view.state for view in views if view is not None]

    async def audit(self) -> list[tuple[str, str, int, int]]:
        response, answer = await self.web.call("GET", "/api/v1/audit")
        assert response.status == 200
        return [(row["action"], row["target"], row["done"], row["skipped"]) for row in answer["entries"]][::-1]


@pytest.fixture
async def pages(start_web: Any) -> AsyncIterator[Pages]:
    async with office_store() as (desk, operations, _), start_web(views=desk.views, operations=operations) as web:
        pages = Pages(web, desk)
        await pages.log_in()
        yield pages


async def test_one_failed_job_runs_again_from_its_page(pages: Pages) -> None:
    [job_id] = await pages.failed(1)
    _, page = await pages.get(f"/jobs/{job_id}")
    assert await pages.submit(page, f"/jobs/{job_id}/retry") == (303, f"/jobs/{job_id}")
    assert await pages.states([job_id]) == ["QUEUED"]
    _, page = await pages.get(f"/jobs/{job_id}")
    assert "It runs again, from its last good step." in page
    assert "retried by Ada" in page
    assert await pages.audit() == [("retry", f"job:{job_id}", 1, 0)]


async def test_a_waiting_job_is_cancelled_after_a_question(pages: Pages) -> None:
    job_id = await pages.desk.new()
    _, page = await pages.get(f"/jobs/{job_id}")
    [link] = re.findall(r'href="(/jobs/confirm[^"]+)"', page)
    _, asked = await pages.get(unescape(link))
    assert await pages.states([job_id]) == ["QUEUED"]
    assert "1 job" in asked
    assert await pages.submit(asked, "/jobs/act") == (303, f"/jobs/{job_id}")
    assert await pages.states([job_id]) == ["FAILED_FINAL"]


async def test_all_that_failed_on_an_outage_run_again_and_no_others(pages: Pages) -> None:
    tired, stalled = await pages.failed(30), await pages.failed(3, Reason.STALLED)
    _, page = await pages.get("/jobs?state=FAILED_FINAL&reason=attempts_exhausted")
    [link] = [it for it in re.findall(r'href="(/jobs/confirm[^"]+)"', page) if "do=retry" in it]
    _, asked = await pages.get(unescape(link))
    assert "<strong>30 jobs</strong>" in asked
    assert "all failed jobs that fit: FAILED_FINAL, attempts_exhausted" in asked
    assert await pages.audit() == []
    assert await pages.submit(asked, "/jobs/act") == (303, "/jobs")
    assert set(await pages.states(tired)) == {"QUEUED"}
    assert set(await pages.states(stalled)) == {"FAILED_FINAL"}
    assert "30 jobs run again." in (await pages.get("/jobs"))[1]
    assert await pages.audit() == [("retry", "jobs", 30, 0)]


async def test_the_overview_opens_the_failures_that_it_counted(pages: Pages) -> None:
    """And neither what a person cancelled nor leads without a match, which would all run again with one click."""
    [tired] = await pages.failed(1)
    await pages.desk.new("unmatched")
    none = Bury(Reason.PROPERTY_NOT_FOUND, Failure("none", "trace"), Outcome.NO_MATCH)
    await pages.desk.queue.bury(await pages.desk.one(), none)
    await pages.desk.queue.cancel(await pages.desk.new("cancelled"), by="Ada")
    _, overview = await pages.get("/")
    [banner] = re.findall(r'1 lead failed within a day, .*? <a href="([^"]+)">Show them</a>', overview)
    _, page = await pages.get(unescape(banner))
    assert re.findall(r'href="/jobs/([^/?"]+)"', page) == [tired]
    assert '<option value="unexpected" selected>' in page
    [link] = [it for it in re.findall(r'href="(/jobs/confirm[^"]+)"', page) if "do=retry" in it]
    _, asked = await pages.get(unescape(link))
    assert "<strong>1 job</strong>" in asked
    assert "FAILED_FINAL, unexpected, ended since 1970-01-01 00:00 UTC" in asked
    assert await pages.submit(asked, "/jobs/act") == (303, "/jobs")


async def test_before_many_run_again_it_is_told_why_they_failed(pages: Pages) -> None:
    failed = [*await pages.failed(2, Reason.STALLED), *await pages.failed(3, Reason.INTERNAL_ERROR)]
    _, asked = await pages.get("/jobs/confirm?do=retry")
    assert "<p>They failed for: 3 internal_error, 2 stalled.</p>" in asked
    _, asked = await pages.get("/jobs/confirm?do=retry&" + "&".join(f"id={job_id}" for job_id in failed[:3]))
    assert "<p>They failed for: 2 stalled, 1 internal_error.</p>" in asked


async def test_before_many_are_cancelled_it_is_told_which_failures_make_room(start_web: Any) -> None:
    async with (
        office_store(QueueSettings(keep_failed=5)) as (desk, operations, _),
        start_web(views=desk.views, operations=operations) as web,
    ):
        pages = Pages(web, desk)
        await pages.log_in()
        failed = await pages.failed(3)
        waiting = [await desk.new(f"waits{number}") for number in range(4)]
        _, asked = await pages.get(f"/jobs/confirm?do=cancel&id={waiting[0]}")
        assert "removed" not in asked
        _, asked = await pages.get("/jobs/confirm?do=cancel&" + "&".join(f"id={job_id}" for job_id in waiting[:3]))
        assert "<p>1 older failure will be removed to make room (queue.keep_failed):" in asked
        _, asked = await pages.get("/jobs/confirm?do=cancel")
        assert "<p>2 older failures will be removed to make room (queue.keep_failed):" in asked
        assert await pages.submit(asked, "/jobs/act") == (303, "/jobs")
        assert (
            "4 jobs cancelled. 2 older failures removed to make room (queue.keep_failed)."
            in (await pages.get("/jobs"))[1]
        )
        assert [await desk.views.job(job_id) is None for job_id in failed] == [True, True, False]


async def test_more_than_one_form_can_bear_asks_again(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadenrich.web.job_desk.BATCH", 2)
    failed = await pages.failed(11)
    _, asked = await pages.get("/jobs/confirm?do=retry")
    assert "<strong>11 jobs</strong>" in asked
    status, further = await pages.submit(asked, "/jobs/act")
    assert status == 200
    assert "10 jobs run again." in further
    assert "<strong>1 job</strong>" in further
    assert await pages.submit(further, "/jobs/act") == (303, "/jobs")
    assert set(await pages.states(failed)) == {"QUEUED"}


async def test_the_chosen_ones_only(pages: Pages) -> None:
    failed, waiting = await pages.failed(3), await pages.desk.new("later")
    status, asked = await pages.get(f"/jobs/confirm?do=retry&id={failed[0]}&id={failed[2]}&id={waiting}&id=unknown")
    assert (status, "<strong>2 jobs</strong>" in asked) == (200, True)
    await pages.desk.queue.revive(failed[2], by="another")
    await pages.submit(asked, "/jobs/act")
    assert await pages.states(failed) == ["QUEUED", "FAILED_FINAL", "QUEUED"]
    assert "1 job run again. 1 were gone, or in another state by then." in (await pages.get("/jobs"))[1]


async def test_who_may_only_look_sees_no_way_to_act(pages: Pages) -> None:
    [job_id] = await pages.failed(1)
    pages.web.session.cookie_jar.clear()
    await pages.log_in("the-viewer-token")
    for path in ("/jobs", f"/jobs/{job_id}", "/settings"):
        _, page = await pages.get(path)
        assert "/jobs/confirm" not in page
        assert 'type="checkbox"' not in page
        assert re.findall(r'<form method="post" action="([^"]+)"', page) == ["/logout"]
    assert (await pages.get("/jobs/confirm?do=retry"))[0] == 403
    assert (await pages.web.call("POST", "/jobs/act", data={"do": "retry", "all": "1"}))[0].status == 403


@pytest.mark.parametrize("data", [{"do": "retry", "all": "1"}, {"do": "retry", "all": "1", "csrf": "guess"}])
async def test_without_its_token_a_form_does_nothing(pages: Pages, data: dict[str, str]) -> None:
    failed = await pages.failed(1)
    assert (await pages.web.call("POST", "/jobs/act", data=data))[0].status == 403
    assert (await pages.web.call("POST", f"/jobs/{failed[0]}/retry", data=data))[0].status == 403
    assert await pages.states(failed) == ["FAILED_FINAL"]


@pytest.mark.parametrize("path", ["/jobs/confirm", "/jobs/confirm?do=delete", "/jobs/confirm?do=retry&state=QUEUED",
                                  "/jobs/confirm?do=retry&cursor=nonsense", "/jobs?since=yesterday"])  # fmt: skip
async def test_what_makes_no_sense_is_told_as_a_page(pages: Pages, path: str) -> None:
    status, page = await pages.get(path)
    assert status == 400
    assert "<h1>leadenrich</h1>" in page


async def test_a_time_without_a_zone_is_utc(pages: Pages) -> None:
    await pages.failed(1)
    assert "No job fits." in (await pages.get("/jobs?until=2026-01-01T00:00"))[1]
    _, page = await pages.get("/jobs?since=2026-01-01T00:00&lane=live")
    assert "No job fits." not in page
    assert 'value="2026-01-01T00:00"' in page


async def csv_of(pages: Pages, query: str = "") -> list[dict[str, str]]:
    response, text = await pages.web.call("GET", f"/jobs.csv{query}")
    assert (response.status, response.content_type) == (200, "text/csv")
    assert "attachment" in response.headers["Content-Disposition"]
    return list(csv.DictReader(StringIO(text)))


async def test_the_csv_holds_what_the_filter_shows(pages: Pages) -> None:
    """More than one part of the list."""
    await pages.desk.new("c-done")
    await pages.desk.complete(await pages.desk.one(), Outcome.DISQUALIFIED, "MLS_ACTIVE")
    failed = await pages.failed(230)
    rows = await csv_of(pages)
    assert len(rows) == 231
    rows = await csv_of(pages, "?state=FAILED_FINAL")
    assert {row["job"] for row in rows} == set(failed)
    [row] = await csv_of(pages, "?outcome=DISQUALIFIED")
    assert (row["rules"], row["contact"], row["lane"]) == ("MLS_ACTIVE", "c-done", "live")


async def test_no_cell_of_the_csv_is_a_formula_and_only_admins_see_who_it_is(pages: Pages) -> None:
    evil = lead("c1", '=HYPERLINK("http://evil.example";"x")', name="@SUM(1)", phone="+15125550100", email="-2+3|cmd")
    await pages.desk.queue.submit(Submission(evil, Lane.LIVE, "", 0.0))
    [row] = await csv_of(pages)
    assert (row["name"], row["phone"], row["email"]) == ("'@SUM(1)", "'+15125550100", "'-2+3|cmd")
    assert row["address"].startswith("'=HYPERLINK")
    pages.web.session.cookie_jar.clear()
    await pages.log_in("the-viewer-token")
    [row] = await csv_of(pages)
    assert not {"name", "phone", "email", "address"} & set(row)
    assert "5550100" not in str(row)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", "|x"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"
    assert safe_cell(f"a{text}") == f"a{text}"


async def test_strangers_get_no_csv(pages: Pages) -> None:
    pages.web.session.cookie_jar.clear()
    assert (await pages.web.call("GET", "/jobs.csv"))[0].status == 401
