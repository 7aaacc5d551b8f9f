"""What a job wrote, on its page: then and now, and what nobody can tell any more."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from pipeline_world import HOME, record

from leadenrich.config import Config, MappingEntry
from leadenrich.core.address import NormalAddress
from leadenrich.core.lead import Lead
from leadenrich.core.property import Found, LookupAnswer
from leadenrich.store.job_view import WrittenView
from leadenrich.store.views import StepView
from leadenrich.web.in_force import InForce

Web = Any
AJob = Callable[..., Any]
AT = "2026-11-23T12:00:00.000Z"
ADMIN = {"Authorization": "Bearer the-admin-token"}
VIEWER = {"Authorization": "Bearer the-viewer-token"}
LEAD = Lead(location_id="loc", contact_id="c1", kind="create", first_name="Alex", last_name="Sample", address=HOME)
WROTE = {"estimated_value": 342000, "year_built": "1974", "equity_percent": 70}
STEPS = [StepView(name, AT, AT, False, 0) for name in ("lookup", "fields")]


class Cache:
    def __init__(self) -> None:
        self.answer: LookupAnswer | None = Found(record(), "190000001")

    async def find(self, address: NormalAddress) -> LookupAnswer | None:
        return self.answer


@pytest.fixture
def cache(web: Web) -> Cache:
    cache = Cache()
    InForce.__init__(web.parts.finding.in_force, Config(), dict, cache)
    return cache


async def section(web: Web, job: Any, headers: dict[str, str] = ADMIN) -> str:
    """As text; "" where the page has none."""
    web.views.listed = [job]
    response, page = await web.call("GET", f"/jobs/{job.id}", headers=headers)
    assert response.status == 200
    found = re.search(r'<h2 id="fields">.*?</section>', page, re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[0])).split()) if found else ""


def wrote(a_job: AJob, fields: Any, **changes: Any) -> Any:
    written = WrittenView(fields=fields, tags_added=["QUALIFIED"], tags_removed=["REVIEW"])
    usual = {"finished_at": AT, "lead": LEAD, "steps": STEPS, "written": written}
    return a_job(**(usual | changes))


async def test_what_was_written_stands_beside_its_source_and_what_would_be_now(
    web: Web, a_job: AJob, cache: Cache
) -> None:
    said = await section(web, wrote(a_job, WROTE))
    assert "3 fields written, as they were sent. Tags added: QUALIFIED Tags removed: REVIEW" in said
    assert "By the mapping in force, a run would write something else to 1 of them." in said
    assert "Estimated Value estimated_value 342000 data.estimatedValue" in said
    assert "Year Built year_built 1974 data.propertyInfo.yearBuilt" in said
    assert "equity_percent 70 data.equityPercent now: 71" in said
    assert said.count("now: ") == 1
    assert re.search(r"\d+ more fields of the record that the contact held already, or that are new since", said)


async def test_the_same_record_and_mapping_say_so(web: Web, a_job: AJob, cache: Cache) -> None:
    said = await section(web, wrote(a_job, WROTE | {"equity_percent": 71.0}))
    assert "By the mapping in force, a run would write the same again." in said
    assert "now: " not in said


async def test_a_field_that_is_mapped_no_longer_stays_told(web: Web, a_job: AJob, cache: Cache) -> None:
    mapping = {"year_built": MappingEntry(enabled=False)}
    InForce.__init__(web.parts.finding.in_force, Config(mapping=mapping), dict, cache)
    said = await section(web, wrote(a_job, WROTE | {"equity_percent": 71}))
    assert "something else to 1 of them" in said
    assert "year_built 1974 would not be written now" in said


async def test_without_the_record_the_values_stay_and_the_sources_go(web: Web, a_job: AJob, cache: Cache) -> None:
    cache.answer = None
    said = await section(web, wrote(a_job, WROTE))
    assert "Where each was from nobody can tell any more: the bought record is kept no longer" in said
    assert "3 fields Fields Field Written estimated_value 342000" in said  # which promises no sources
    assert "equity_percent 70" in said
    assert "now" not in said.replace("nobody", "").replace("knows", "")


async def test_who_may_only_look_sees_no_values(web: Web, a_job: AJob, cache: Cache) -> None:
    job = wrote(a_job, WROTE)
    said = await section(web, job, VIEWER)
    assert "equity_percent data.equityPercent another value now" in said
    assert not [value for value in ("342000", "1974", "70", "71") if value in said]
    _, answer = await web.call("GET", f"/api/v1/jobs/{job.id}", headers=VIEWER)
    assert answer["written"]["fields"] == dict.fromkeys(WROTE)
    _, answer = await web.call("GET", f"/api/v1/jobs/{job.id}", headers=ADMIN)
    assert answer["written"] == {"fields": WROTE, "tags_added": ["QUALIFIED"], "tags_removed": ["REVIEW"]}


async def test_a_value_too_long_to_be_kept_is_no_difference(web: Web, a_job: AJob, cache: Cache) -> None:
    said = await section(web, wrote(a_job, dict.fromkeys(WROTE)))
    assert "equity_percent not kept: too long data.equityPercent" in said
    assert "would write the same again" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": STEPS[:1]}, "Nothing: the contact held it all already."),
        ({"steps": STEPS}, "Fields were written by a try that was cut off before it could say which"),
        ({"steps": []}, "What was written is kept no longer (queue.payload_retention)."),
        ({"state": "PROCESSING"}, ""),
        ({"state": "FAILED_FINAL", "reason": "attempts_exhausted", "lead": None, "steps": []}, ""),
    ],
)
async def test_where_nothing_is_kept_the_page_says_why(
    web: Web, a_job: AJob, cache: Cache, changes: dict[str, Any], said: str
) -> None:
    shown = await section(web, wrote(a_job, {}, **({"written": None} | changes)))
    assert shown.startswith(f"Written to the contact {said}") if said else not shown
