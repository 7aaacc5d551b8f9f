"""The page of one job: the sentence on top, what is folded, and who may see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from leadenrich.core.job import Event, Reason
from leadenrich.core.lead import Lead, PostalAddress
from leadenrich.store.interventions import UNTOLD
from leadenrich.store.switches import Pause
from leadenrich.store.views import StepView
from leadenrich.web.shown import EntryShown, JobShown
from leadenrich.web.story import age, headline, told, took

Web = Any
AJob = Callable[..., Any]

ADMIN = {"Authorization": "Bearer the-admin-token"}
DAY = "2026-11-24"
WHY = "MLS_ACTIVE: already with an agent; LOW_EQUITY: no room for an offer below market"
AT = "2026-11-24T07:28:03.250Z"
LATER = "2026-11-24T07:31:00.000Z"
LOOKED_UP = [StepView("address", AT, AT, False, 0, 0), StepView("lookup", AT, LATER, False, 1, 0)]
WRITTEN = {"time": AT, "event": "completed", "attempt": 1, "outcome": "QUALIFIED", "note": "46 fields written"}
NASTY = "</pre></details><script>alert(1)</script><img src=x>"


async def sentence(web: Web, job: Any) -> str:
    web.views.listed = [job]
    response, page = await web.call("GET", f"/jobs/{job.id}", headers=ADMIN)
    assert response.status == 200
    found = re.search(r'<p class="headline \w+">(.*?)</p>', page)
    assert found is not None
    return unescape(found[1])


ENDED: list[tuple[dict[str, Any], str]] = [
    (
        {"state": "SUCCEEDED", "outcome": "QUALIFIED", "steps": LOOKED_UP, "timeline": [WRITTEN]},
        "Enriched at 2026-11-24 07:28:03 UTC: QUALIFIED, 46 fields written, 1 credit.",
    ),
    (
        {
            "state": "SUCCEEDED",
            "outcome": "DISQUALIFIED",
            "disqualified_by": ["MLS_ACTIVE", "LOW_EQUITY"],
            "steps": [StepView("lookup", AT, AT, True, 0, 0)],
        },
        f"Enriched at {DAY} 07:28:03 UTC: DISQUALIFIED ({WHY}), from the cache, no credit.",
    ),
    (
        {
            "state": "FAILED_FINAL",
            "outcome": "NO_MATCH",
            "reason": "property_not_found",
            "error": "no such property: x",
        },
        "Not enriched: there is no such property. Ended at 2026-11-24 07:28:03 UTC, no credit.",
    ),
    (
        {
            "state": "FAILED_FINAL",
            "outcome": "NO_MATCH",
            "reason": "property_not_found",
            "disqualified_by": ["ADDRESS_MISMATCH"],
            "error": "ADDRESS_MISMATCH: house number and zip5 must agree",
            "steps": [*LOOKED_UP, StepView("lookup:2", AT, AT, False, 1, 0)],
        },
        f"Not enriched: the record that came back is of another house or zip. Ended at {DAY} 07:28:03 UTC, 2 credits.",
    ),
    (
        {"state": "FAILED_FINAL", "outcome": None, "reason": "attempts_exhausted", "error": "realestateapi: 502."},
        "Not enriched: the last try failed too (realestateapi: 502). Ended at 2026-11-24 07:28:03 UTC, no credit.",
    ),
]


@pytest.mark.parametrize(("changes", "said"), ENDED)
async def test_an_ended_job_says_what_became_of_the_lead(
    web: Web, a_job: AJob, changes: dict[str, Any], said: str
) -> None:
    assert await sentence(web, a_job(finished_at=AT, **changes)) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"state": "RETRY_SCHEDULED", "next_attempt_at": LATER, "error": "realestateapi answered 502"},
            "Waiting: next try at 2026-11-24 07:31:00 UTC; try 1 of 3 failed (realestateapi answered 502).",
        ),
        (
            {"state": "QUEUED", "next_attempt_at": LATER, "error": "429: Rate Limit Exceeded"},
            "Waiting until 2026-11-24 07:31:00 UTC (429: Rate Limit Exceeded).",
        ),
        ({"state": "QUEUED"}, "Waiting for its turn since 2026-11-20 15:04:05 UTC."),
        (
            {"state": "QUEUED", "error": "realestateapi is paused"},
            "Waiting for its turn since 2026-11-20 15:04:05 UTC (realestateapi is paused).",
        ),
        (
            {"state": "PROCESSING", "started_at": AT, "attempts_made": 2},
            "At work since 2026-11-24 07:28:03 UTC: try 2 of 3.",
        ),
    ],
)
async def test_a_job_that_goes_on_says_what_it_waits_for(
    web: Web, a_job: AJob, changes: dict[str, Any], said: str
) -> None:
    assert await sentence(web, a_job(outcome=None, **changes)) == said


BY_ANN = Pause("operator", "counting the stock", since_ms=1_795_505_283_250, by="Ann")
THE_QUEUE = f"the queue is paused by Ann since {DAY} 07:28:03 UTC (counting the stock)"
SPENT = Pause("budget", "spent", 1_795_505_400_000)  # until half past seven
TRIED = {"state": "RETRY_SCHEDULED", "next_attempt_at": LATER, "error": "realestateapi answered 502"}


@pytest.mark.parametrize(
    ("pauses", "changes", "said"),
    [
        ({"": BY_ANN}, {}, f"Waiting since 2026-11-20 15:04:05 UTC: {THE_QUEUE}."),
        (
            {"": BY_ANN},
            TRIED,
            f"Waiting: {THE_QUEUE}. Next try not before {DAY} 07:31:00 UTC; try 1 of 3 failed (realestateapi answered",
        ),
        (
            {"ghl:loc": Pause("auth", "ghl:loc refused the token."), "": BY_ANN},
            {"next_attempt_at": LATER, "error": "parked until it is asked again"},
            f"Waiting since 2026-11-20 15:04:05 UTC: {THE_QUEUE}; ghl:loc is paused (ghl:loc refused the token).",
        ),
        (
            {"realestateapi": Pause("operator", UNTOLD, by="Ann")},
            {},
            "Waiting since 2026-11-20 15:04:05 UTC: realestateapi is paused by Ann.",
        ),
        (
            {"realestateapi": SPENT},
            {"next_attempt_at": AT},
            f"Waiting since 2026-11-20 15:04:05 UTC: realestateapi is paused until {DAY} 07:30:00 UTC (spent).",
        ),
        # The pause is over before its own time comes, or is another location's: it does not wait for that.
        ({"realestateapi": SPENT}, TRIED, "Waiting: next try at 2026-11-24 07:31:00 UTC; try 1 of 3 failed"),
        ({"ghl:other": BY_ANN}, {}, "Waiting for its turn since 2026-11-20 15:04:05 UTC."),
        ({"": BY_ANN}, {"state": "SUCCEEDED", "outcome": "QUALIFIED", "finished_at": AT}, "Enriched at"),
        ({"": BY_ANN}, {"state": "PROCESSING", "started_at": AT}, "At work since"),
    ],
)
async def test_a_lead_that_waits_says_what_is_paused(
    web: Web, a_job: AJob, pauses: dict[str, Pause], changes: dict[str, Any], said: str
) -> None:
    """Who asks what happened to it gets the true answer, on its page and among what a search found."""
    web.views.paused = pauses
    job = a_job(**{"state": "QUEUED", "outcome": None, "location_id": "loc"} | changes)
    assert (await sentence(web, job)).startswith(said)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_its_words(reason: Reason) -> None:
    said = headline(JobShown(id="j", state="FAILED_FINAL", reason=reason, finished_at=AT))
    assert said.startswith("Not enriched: ")
    assert reason.value not in said
    assert told(EntryShown(AT, "failed", reason=reason)) in said


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (EntryShown(AT, "queued"), "came in"),
        (EntryShown(AT, "queued", why="shutdown"), "handed back, the daemon ended"),
        (EntryShown(AT, "queued", why="retried by admin"), "retried by admin"),
        (EntryShown(AT, "started", attempt=2), "try 2 began"),
        (EntryShown(AT, "retrying", attempt=1, delay_s=30.0), "try 1 failed, the next one after 30 s"),
        (EntryShown(AT, "throttled", until=LATER), "a provider's limit, waits until 2026-11-24 07:31:00 UTC"),
        (EntryShown(AT, "stalled", charged=True), "its process died while it ran alone: charged"),
        (EntryShown(AT, "stalled"), "its process died; not charged"),
        (
            EntryShown(AT, "completed", outcome="REVIEW", codes=["LOW_EQUITY"], note="nothing changed", seconds=1.02),
            "REVIEW (LOW_EQUITY), nothing changed, 1.0 s of work",
        ),
        (EntryShown(AT, "something_new", why="who knows"), "who knows"),
    ],
)
def test_every_event_of_a_job_is_told(entry: EntryShown, said: str) -> None:
    assert told(entry) == said
    assert entry.event in [*Event, "something_new"]


def test_durations_are_for_people() -> None:
    assert [took(AT, end) for end in (AT, "2026-11-24T07:28:03.262Z", "2026-11-24T07:28:04.270Z", None)] == [
        "0 ms", "12 ms", "1.02 s", "not ended"
    ]  # fmt: skip
    assert [age(seconds) for seconds in (None, 61.5, 600.0, 9000.0)] == ["nothing waits", "62 s", "10 min", "2.5 h"]


async def test_the_page_tells_the_facts_the_way_and_the_steps(web: Web, a_job: AJob) -> None:
    address = PostalAddress("742 Example Ave", "Austin", "TX", "78701")
    lead = Lead(location_id="loc", contact_id="c1", kind="create", name="Pat Sample", address=address, phone="+1512")
    entries = [
        {"time": AT, "event": "queued"},
        {"time": AT, "event": "started", "attempt": 1, "by": "w/1"},
        {"time": LATER, "event": "retrying", "attempt": 1, "delay_s": 30.0, "error": "a 502", "trace": "Traceback: x"},
    ]
    steps = [*LOOKED_UP, StepView("fields", AT, None, False, 0, 1)]
    web.views.listed = [a_job(lead=lead, location_id="lo c", timeline=entries, steps=steps, attempts_made=1)]
    _, page = await web.call("GET", "/jobs/00job1", headers=ADMIN)
    assert "<h1>Pat Sample</h1>" in page
    for fact in ("742 Example Ave, Austin, TX 78701", "+1512", "1 of 3", "00job1", f'<time datetime="{AT}">'):
        assert fact in page
    assert 'href="https://app.gohighlevel.com/v2/location/lo%20c/contacts/detail/c1"' in page
    assert 'href="/api/v1/jobs/00job1"' in page
    told_at = [page.index(f"<strong>{entry['event']}</strong>") for entry in entries]
    assert told_at == sorted(told_at)
    assert told_at[1] < page.index("lookup") < told_at[2]  # the steps stand in their try
    assert page.count("<details>") == 3  # the error, the rules that did not fire, the payload
    folded = page[page.index("<details>") : page.index("</details>")]
    assert "a 502" in folded
    assert "Traceback: x" in folded
    assert "cut off, charged or not" in page


@pytest.mark.parametrize(
    ("by", "said"),
    [("w/1", "came in, by the API"), ("enrich:ann@vm:12/1", "came in, by leadenrich enrich at a shell")],
)
async def test_a_lead_tells_by_which_door_it_came(web: Web, a_job: AJob, by: str, said: str) -> None:
    """A command's lead comes as the API's do; who held its job first tells them apart, also once a daemon goes on."""
    lead = Lead(location_id="loc", contact_id="c1", kind="api")
    entries = [
        {"time": AT, "event": "queued"},
        {"time": AT, "event": "started", "attempt": 1, "by": by},
        {"time": AT, "event": "retrying", "attempt": 1},
        {"time": LATER, "event": "started", "attempt": 2, "by": "w/1"},
    ]
    web.views.listed = [a_job(lead=lead, timeline=entries)]
    assert f"<span>{said}</span>" in (await web.call("GET", "/jobs/00job1", headers=ADMIN))[1]


async def test_a_job_without_its_lead_is_shown(web: Web) -> None:
    """Retention takes the payload first."""
    _, page = await web.call("GET", "/jobs/00job1", headers=ADMIN)
    assert "<h1>c1</h1>" in page
    assert ">lookup<" not in page
    assert '<h2 id="payload"' not in page


async def test_what_comes_from_outside_stays_text(web: Web, a_job: AJob) -> None:
    lead = Lead(
        location_id=NASTY, contact_id=NASTY, kind="create", name=NASTY, email=NASTY, address=PostalAddress(NASTY)
    )
    entry = dict.fromkeys(("event", "error", "trace", "why", "note", "outcome", "until", "reason", "by"), NASTY)
    entries = [entry | {"time": AT}, *({**entry, "time": AT, "event": event.value} for event in Event)]
    names = ("state", "lane", "contact_id", "location_id", "outcome", "reason", "error")
    changes = dict.fromkeys(names, NASTY) | {"disqualified_by": [NASTY]}
    web.views.listed = [
        a_job(id="j1", lead=lead, timeline=entries, steps=[StepView(NASTY, AT, None, False, 0, 0)], **changes)
    ]
    response, page = await web.call("GET", "/jobs/j1", headers=ADMIN)
    assert response.status == 200
    assert "<script>" not in page
    assert "<img" not in page
    assert (
        page.count("</details>") == page.count("<details>") == len(entries)
    )  # one error folded a line, but for "started"


@pytest.mark.parametrize("job_id", ["unknown", "%00", "a%2Fb", "x" * 500, "é"])
async def test_an_unknown_job_has_no_page(web: Web, job_id: str) -> None:
    response, page = await web.call("GET", f"/jobs/{job_id}", headers=ADMIN)
    assert response.status == 404
    assert "There is no such job" in page or response.content_type == "application/problem+json"


async def test_without_redis_the_page_says_so(web: Web) -> None:
    web.views.away = True
    response, page = await web.call("GET", "/jobs/00job1", headers=ADMIN)
    assert (response.status, response.content_type) == (503, "text/html")
    assert "Redis cannot be read" in page


async def test_a_stranger_logs_in_and_comes_back(web: Web) -> None:
    response, page = await web.call("GET", "/jobs/00job1")
    assert (response.status, response.content_type) == (401, "text/html")
    assert "QUALIFIED" not in page
    assert '<input type="hidden" name="then" value="/jobs/00job1">' in page
    form = {"token": "the-viewer-token", "then": "/jobs/00job1"}
    response, _ = await web.call("POST", "/login", data=form)
    assert (response.status, response.headers["Location"]) == (303, "/jobs/00job1")
    _, page = await web.call("GET", "/jobs/00job1")
    assert "QUALIFIED" in page
    assert "Log out" in page


@pytest.mark.parametrize(
    "then", ["https://evil.example/", "//evil.example", "/jobs/../logout", "/jobs/a\r\nX: y", "/jobs/", "/\\evil"]
)
async def test_a_log_in_leads_nowhere_else(web: Web, then: str) -> None:
    response, _ = await web.call("POST", "/login", data={"token": "the-admin-token", "then": then})
    assert (response.status, response.headers["Location"]) == (303, "/")
    _, page = await web.call("POST", "/login", data={"token": "wrong", "then": then})
    assert "evil" not in page
