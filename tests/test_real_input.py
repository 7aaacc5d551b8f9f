"""Every sample of the two vendors through the real door and the real pipeline, to the end that its index names.

The vendors' own printed samples stay in their folder beside this repository; ours are in tests/data.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest
from daemon_process import (
    Inside,
    Job,
    events_of,
    inside,
    look_ups,
    new_sandbox,
    settings_for,
    until,
)
from redis_server import running

from leadenrich.core.lead import PostalAddress
from leadenrich.sandbox.catalogue import REFERENCE_DATE
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[1] / ".." / "shared" / "apis"
_INDEX_OF_ALL = SHARED / "realestateapi" / "samples.index.json"
_INDEX = _INDEX_OF_ALL if _INDEX_OF_ALL.is_file() else DATA / "samples.index.json"  # ours alone
INDEX = json.loads(_INDEX.read_text())["samples"]
OURS = frozenset({"enrichment_status", "enriched_at", "disqualified", "disqualify_reasons"})
SHOWN_ELSEWHERE = frozenset({"RENTAL_LISTING"})  # severity info: a fact of the record, not a reason
LOCATION = "ve9EPM428h8vShlRW1KT"
HOME = PostalAddress("742 Evergreen Ter", "Springfield", "IL", "62704")


@dataclass(frozen=True)
class ReferenceDay:
    """The samples are true on one day."""

    def now(self) -> datetime:
        return datetime.combine(REFERENCE_DATE, time(12), UTC)


def sample(name: str) -> str:
    """A body as its file has it."""
    for folder in (DATA / "samples", SHARED / "realestateapi" / "samples"):
        if (folder / name).is_file():
            return (folder / name).read_text()
    pytest.skip(f"{name} is the vendor's own, and its folder is not beside this repository")


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[Inside]:
    (folder / "redis").mkdir()
    settings.setdefault("queue", {"dedup_window": 0, "backoff_delay": 0.01})
    settings.setdefault("realestateapi", {"cache_ttl": 0, "cache_miss_ttl": 0})
    with running(folder / "redis") as redis:
        async with new_sandbox() as sandbox:
            whole = settings_for(sandbox, redis.url, **settings)
            async with inside(sandbox, folder, whole, clock=ReferenceDay()) as daemon:
                yield daemon


def asked_for(body: str) -> PostalAddress:
    """The address that an answer was given for, where it repeats the question."""
    try:
        told = json.loads(body).get("input") or {}
    except ValueError:
        told = {}
    if not told.keys() >= {"house", "street", "city", "state", "zip"} or not told["house"].isdecimal():
        return HOME
    unit = f" Unit {told['unit']}" if "unit" in told else ""
    return PostalAddress(f"{told['house']} {told['street']}{unit}", told["city"], told["state"], told["zip"])


async def answer_with(daemon: Inside, status: int, body: str) -> str:
    """A new contact's event, and RealEstateAPI answers every look-up so; the job's id."""
    daemon.sandbox.faults.clear()
    daemon.sandbox.faults.add(Fault("status", status=status, body=body), times=None, match=Match(path="PropertyDetail"))
    alex = daemon.sandbox.ghl.add_contact(
        "ContactAlex", daemon.sandbox.location_id, address=asked_for(body), first_name="Alex", last_name="Sample"
    )
    return await daemon.tell(alex)


# --- RealEstateAPI's answers to a look-up ---------------------------------------------------------------------------

ANSWERS = [
    (row["file"].rpartition("/")[2], status, row)
    for row in INDEX
    if row["endpoint"] == "POST /v2/PropertyDetail" and "expected_default_outcome" in row
    for status in ([404, 200] if row["http_status"] == "404 or 200" else [int(row["http_status"])])
]


def seen(job: Job) -> tuple[Any, ...]:
    return job["state"], job["outcome"], job["reason"], job["disqualified_by"]


def must_end(row: Mapping[str, Any]) -> tuple[Any, ...]:
    outcome = row["expected_default_outcome"]
    codes = [code for code in row["expected_default_codes"] if code not in SHOWN_ELSEWHERE]
    if outcome == "NO_MATCH":
        return "FAILED_FINAL", outcome, "property_not_found", codes
    return "SUCCEEDED", outcome, None, codes


async def check_answers(daemon: Inside, rows: list[tuple[str, int, Any]]) -> None:
    """Each body, exactly as it is, ends the job as the index says, and the contact shows it."""
    found, wanted = {}, {}
    for name, status, row in rows:
        [job] = await daemon.ended([await answer_with(daemon, status, sample(name))])
        fields = daemon.sandbox.ghl.values("ContactAlex")
        told = fields["enrichment_status"], "enrich_no_match" in daemon.sandbox.ghl.contacts["ContactAlex"].tags
        found[name, status] = (*seen(job), *told, job["attempts_made"])
        outcome = row["expected_default_outcome"]
        wanted[name, status] = (*must_end(row), outcome, outcome == "NO_MATCH", 1)
        if outcome == "NO_MATCH":
            assert fields.keys() <= OURS, f"{name}: nothing of another house is written"
    assert found == wanted


async def test_our_records_reach_the_verdict_of_the_index(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        rows = [row for row in ANSWERS if row[2]["provenance"] == "made"]
        assert len(rows) > 30
        await check_answers(daemon, rows)


async def test_the_vendors_printed_answers_reach_theirs(tmp_path: Path) -> None:
    """The forms of "no such property" among them, under either HTTP status."""
    rows = [row for row in ANSWERS if row[2]["provenance"] == "verbatim"]
    if not rows:
        pytest.skip("the vendor's printed answers are not beside this repository")
    async with serving(tmp_path) as daemon:
        assert len(rows) >= 8
        await check_answers(daemon, rows)


async def test_the_contact_has_exactly_the_expected_fields(tmp_path: Path) -> None:
    expected = json.loads((DATA / "expected_fields.sfr_clean.json").read_text())["fields"]
    async with serving(tmp_path) as daemon:
        for name in ("sfr_clean", "numbers_as_strings", "last_sale_snake_key", "unknown_fields"):
            await daemon.ended([await answer_with(daemon, 200, sample(f"property_detail.200.{name}.json"))])
            fields = daemon.sandbox.ghl.values("ContactAlex")
            # HighLevel makes keys of names, and `Pre-Foreclosure` loses its hyphen.
            assert {key.replace("_", ""): value for key, value in fields.items()} == {
                key.replace("_", ""): value for key, value in expected.items() if value not in ("", None)
            }, name


ENDS = {  # what uses up tries, and what ends a lead at once
    "error.400.empty_body.json": ("bad_address", "NO_ADDRESS", 1),  # names address and house
    "error.400.zip_missing.json": ("bad_address", "NO_ADDRESS", 1),
    "error.400.zip_length.json": ("bad_address", "NO_ADDRESS", 1),
    "error.400.state_missing.json": ("bad_address", "NO_ADDRESS", 1),
    "error.400.state_length.json": ("bad_address", "NO_ADDRESS", 1),
    "error.400.zip_or_city.json": ("bad_address", "NO_ADDRESS", 1),
    "error.400.not_object.json": ("rejected_by_provider", None, 1),
    "error.400.unknown_field.json": ("rejected_by_provider", None, 1),
    "error.500.json": ("attempts_exhausted", None, 3),
    "error.502.html.txt": ("attempts_exhausted", None, 3),
    "error.200.truncated.txt": ("attempts_exhausted", None, 3),
}
PAUSES = {  # what stops the provider for everybody and burns no lead
    "error.401.openapi.json": "auth",
    "error.401.envelope.json": "auth",
    "error.403.scope.json": "auth",
    "error.429.openapi.json": "throttle",
    "error.429.daily_credits.json": "throttle",
    "error.429.daily_scope.json": "throttle",
}


def test_every_error_sample_has_its_row() -> None:
    errors = {row["file"].rpartition("/")[2] for row in INDEX if "/error." in row["file"]}
    assert errors == ENDS.keys() | PAUSES.keys() if _INDEX is _INDEX_OF_ALL else errors < ENDS.keys() | PAUSES.keys()


def http_status(name: str) -> int:
    return int(name.split(".")[1])


async def test_errors_that_end_a_lead(tmp_path: Path) -> None:
    found, wanted = {}, {}
    async with serving(tmp_path) as daemon:
        for name, (reason, outcome, tries) in ENDS.items():
            if not (DATA / "samples" / name).is_file() and not SHARED.is_dir():
                continue
            before = len(look_ups(daemon.sandbox))
            [job] = await daemon.ended([await answer_with(daemon, http_status(name), sample(name))])
            found[name] = (
                job["state"], job["reason"], job["outcome"], job["attempts_made"],
                events_of(job).count("retrying"), len(look_ups(daemon.sandbox)) - before,
            )  # fmt: skip
            wanted[name] = ("FAILED_FINAL", reason, outcome, tries, tries - 1, tries)
            contact = daemon.sandbox.ghl.contacts["ContactAlex"]
            status = daemon.sandbox.ghl.values("ContactAlex").get("enrichment_status")
            if outcome:
                assert (status, contact.tags) == (outcome, ["enrich_no_address"]), name
            elif reason == "attempts_exhausted":
                assert (status, contact.tags) == ("FAILED", []), name
            else:
                assert contact.tags == [], name
    assert found == wanted


async def test_errors_that_pause_the_provider(tmp_path: Path) -> None:
    """The lead waits, uncharged, behind a pause that says until when, or that somebody must look."""
    names = [name for name in PAUSES if (DATA / "samples" / name).is_file() or SHARED.is_dir()]
    folders = [tmp_path / name for name in names]
    for folder in folders:
        folder.mkdir()
    await asyncio.gather(*(check_pause(folder, name) for folder, name in zip(folders, names, strict=True)))


async def check_pause(folder: Path, name: str) -> None:
    body = sample(name)
    async with serving(folder) as daemon:
        job_id = await answer_with(daemon, http_status(name), body)
        reason = (await until(daemon.paused, f"{name} pauses"))["realestateapi"]
        assert reason.startswith(PAUSES[name])
        job = await until(lambda: waiting(daemon, job_id), "the job waits again")
        assert (job["attempts_made"], job["reason"], len(look_ups(daemon.sandbox))) == (0, None, 1)
        _, stats = await daemon.get("/api/v1/stats")
        pause_ends = stats["providers"]["realestateapi"]["until"]
        if "daily" in name:
            assert "T00:00:00." in pause_ends
            assert pause_ends > job["created_at"]
        if PAUSES[name] == "throttle":
            assert events_of(job)[-1] == "throttled"
            assert job["next_attempt_at"] == pause_ends
        else:
            assert pause_ends is None
        ready, _ = await daemon.get("/readyz")
        assert ready == 200
        if name == "error.429.openapi.json":  # no time is named: a second, then the vendor is asked again
            daemon.sandbox.faults.clear()
            [job] = await daemon.ended([job_id])
            assert (job["outcome"], job["attempts_made"]) == ("QUALIFIED", 1)


async def waiting(daemon: Inside, job_id: str) -> Job | None:
    job = await daemon.job(job_id)
    return job if job["state"] == "QUEUED" and len(job["timeline"]) > 2 else None


# --- HighLevel's webhooks -------------------------------------------------------------------------------------------

QUALIFIED = ("SUCCEEDED", "QUALIFIED", None)
NOT_US = ("FAILED_FINAL", "NO_ADDRESS", "bad_address")
NONE_GIVEN = ("FAILED_FINAL", "NO_ADDRESS", "missing_address")
STARTING = {
    "delivered/ContactCreate.synthetic.json": QUALIFIED,
    "delivered/ContactCreate-minimal.synthetic.json": NONE_GIVEN,
    "delivered/OpportunityCreate.official.json": QUALIFIED,
    "documented/ContactCreate.json": NOT_US,
    "documented/OpportunityCreate.json": QUALIFIED,
    "workflow/custom-webhook-rendered.synthetic.json": QUALIFIED,
    "workflow/webhook-action.synthetic.json": QUALIFIED,
    "workflow/webhook-action-no-address.synthetic.json": NONE_GIVEN,
}
REFUSED = {"workflow/custom-webhook-template.json": 422}


def webhook_samples() -> dict[str, bytes]:
    folder = SHARED / "ghl" / "webhooks"
    found = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in sorted(folder.glob("*/*.json"))}
    if not found:
        pytest.skip("the vendor's sample webhooks are not beside this repository")
    return found


def stand_in(sandbox: Sandbox, body: dict[str, Any]) -> None:
    """The contact of an event as HighLevel would have it: as the event tells it, or, where it tells none, a house."""
    location, contact_id = location_of(body), body.get("contactId") or body.get("contact_id") or body.get("id")
    if not location or not contact_id:
        return
    if location not in sandbox.ghl.locations:
        sandbox.ghl.add_location(location, "a-token")
    place = PostalAddress(*(str(body.get(name) or "") for name in ("address1", "city", "state")))
    place = PostalAddress(
        place.line1, place.city, place.state, body.get("postalCode") or body.get("postal_code") or "",
        body.get("country") or "US",
    )  # fmt: skip
    is_deal = body.get("type") == "OpportunityCreate"
    sandbox.ghl.contacts.clear()
    sandbox.ghl.add_contact(contact_id, location, address=HOME if is_deal else place, first_name="Pat")


def location_of(body: dict[str, Any]) -> str:
    inner = body.get("location")
    told = body.get("locationId") or body.get("location_id") or (inner.get("id") if isinstance(inner, dict) else "")
    return str(told or "")


async def deliver(daemon: Inside, name: str, raw: bytes) -> tuple[int, Any]:
    """As HighLevel would: events signed, workflow bodies with the shared token where they do not carry it."""
    if not name.startswith("workflow/"):
        return await daemon.hook(raw)
    headers = {"Content-Type": "application/json"}
    if b'"secret"' not in raw:
        headers["X-Webhook-Token"] = "shared-secret-goes-here"
    status, answer, _ = await daemon.post("/webhooks/ghl/workflow", raw, headers)
    return status, answer


async def test_every_sample_webhook_reaches_its_end(tmp_path: Path) -> None:
    """Delivered, documented and workflow bodies, byte for byte, each to an empty queue."""
    samples = webhook_samples()
    assert STARTING.keys() | REFUSED.keys() <= samples.keys()
    bodies = {name: json.loads(raw) for name, raw in samples.items()}
    places = sorted({place for body in bodies.values() if "{" not in (place := location_of(body)) and place})
    locations = [{"id": place, "token": f"token-{place}"} for place in places]
    ghl = {"locations": locations, "webhook_token": "shared-secret-goes-here"}
    async with serving(tmp_path, ghl=ghl) as daemon:
        for place in places:
            daemon.sandbox.ghl.add_location(place, f"token-{place}")
        found: dict[str, Any] = {}
        for name, raw in samples.items():
            await daemon.running.connection.execute("FLUSHALL")
            stand_in(daemon.sandbox, bodies[name])
            status, answer = await deliver(daemon, name, raw)
            if status == 202:
                [job] = await daemon.ended([answer["job_id"]])
                found[name] = (job["state"], job["outcome"], job["reason"])
            elif status == 200:
                assert answer.keys() == {"ignored"}, name
                found[name] = "ignored"
            else:
                found[name] = status
        others = dict.fromkeys(samples.keys() - STARTING.keys() - REFUSED.keys(), "ignored")
        assert found == STARTING | REFUSED | others
