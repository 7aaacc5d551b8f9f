"""The lead's way: what is read, bought and written, in which order, and what a second run does."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from pipeline_world import HOME, KEY, NOW_MS, World, claim, record
from structlog.testing import capture_logs

from leadenrich.config import RuleEntry
from leadenrich.core.errors import LostLease, Permanent, ProviderOut, Throttled, Transient
from leadenrich.core.job import Outcome, Reason, StepRecord
from leadenrich.core.lead import PostalAddress, fingerprint
from leadenrich.core.property import BadAddress, Found, NoMatch
from leadenrich.core.written import unpack_fields, unpack_tags

GONE = Permanent("Contact not found", reason=Reason.CONTACT_NOT_FOUND, provider="ghl:loc1", status=400)
TIMEOUT = "timeout after 15 s"


@pytest.fixture
def world() -> World:
    world = World()
    world.contact()
    return world


async def ended(world: World, job: Any, **choices: Any) -> Permanent:
    with pytest.raises(Permanent) as caught:
        await world.run(job, **choices)
    return caught.value


# The first run


async def test_a_fresh_event_is_enough_no_read_one_put_one_tag_call(world: World) -> None:
    complete = await world.run(claim())
    assert world.crm.calls == ["put", "add_tags"]
    assert complete.outcome is Outcome.QUALIFIED
    assert world.fields()["enrichment_status"] == "QUALIFIED"
    assert world.fields()["owner_name"] == "Alex Q Sample"
    assert world.fields()["bedrooms"] == 3
    assert world.tags() == {"qualified"}
    assert complete.note == f"{len(world.crm.sent[0])} fields written"


async def test_what_the_event_told_is_not_written_again(world: World) -> None:
    """Only what differs: a person's own spelling of the same value stays."""
    held = {"id_owner_name": "Alex Q Sample", "id_bedrooms": "3.0", "id_disqualify_reasons": ""}
    await world.run(claim(custom_fields=held, tags=("Qualified", "seller")))
    assert not {"owner_name", "bedrooms", "disqualify_reasons"} & world.crm.sent[0].keys()
    assert world.crm.calls == ["put"]


async def test_where_the_event_told_no_fields_all_are_written_and_tags_are_only_added(world: World) -> None:
    await world.run(claim(custom_fields=None, tags=None))
    assert world.crm.calls == ["put", "add_tags"]
    assert world.crm.sent[0]["disqualify_reasons"] == ""


@pytest.mark.parametrize(
    "job",
    [
        claim(event_ms=NOW_MS - 60_000),
        claim(address=PostalAddress()),
        claim(kind="opportunity"),
        claim(kind="update", tags=None),
        claim(attempt=2),
        claim(rerun=True),
    ],
    ids=["stale", "no address", "opportunity", "tags unknown", "second try", "rerun"],
)
async def test_the_contact_is_read_where_the_event_is_not_enough(world: World, job: Any) -> None:
    await world.run(job)
    assert world.crm.calls == ["contact", "put", "add_tags"]


async def test_an_event_without_a_time_is_as_old_as_its_job(world: World) -> None:
    world.clock.advance(seconds=61)
    await world.run(claim(event_ms=0))
    assert world.crm.calls[0] == "contact"


async def test_an_address_that_no_event_told_is_remembered(world: World) -> None:
    """The contact's next update must not pass for a changed address."""
    await world.run(claim(kind="opportunity", address=PostalAddress()))
    assert world.sightings.noted == {"c1": fingerprint(HOME)}


async def test_an_import_brings_the_address_of_a_contact_that_has_none(world: World) -> None:
    world.contact(address=PostalAddress())
    await world.run(claim(kind="import", tags=None))
    assert world.crm.calls[0] == "contact"
    assert world.purchases.sold == [KEY]


async def test_the_address_that_a_contact_has_goes_before_the_imported_one(world: World) -> None:
    await world.run(claim(kind="import", tags=None, address=PostalAddress("9 Other St", "Chicago", "IL", "60601")))
    assert world.purchases.sold == [KEY]


async def test_a_snapshot_without_its_zip_is_looked_up_in_the_contact(world: World) -> None:
    await world.run(claim(address=PostalAddress("742 Evergreen Terrace", "Springfield")))
    assert world.crm.calls == ["contact", "put", "add_tags"]
    assert world.purchases.sold == [KEY]


# The address


@pytest.mark.parametrize(
    "value", ["742 Evergreen Terrace, Springfield, IL 62704", "742 Evergreen Terrace Springfield IL 62704"]
)
async def test_a_property_field_goes_before_the_mailing_address(world: World, value: str) -> None:
    mailing = PostalAddress("9 Other St", "Chicago", "IL", "60601")
    await world.run(
        claim(address=mailing, custom_fields={"id_property_address_matched": value}),
        address_fields=("contact.property_address_matched",),
    )
    assert world.purchases.sold == [KEY]
    assert "contact" not in world.crm.calls


@pytest.mark.parametrize(("value", "house"), [("742 Evergreen Terrace", "742"), ("9 Oak St, Apt 4", "9"), ("n/a", "1")])
async def test_a_street_alone_takes_the_place_of_the_standard_address(world: World, value: str, house: str) -> None:
    standard = PostalAddress("1 Elm St", "Springfield", "IL", "62704")
    world.contact(address=standard, custom_fields={"id_property_use": value})
    job = claim(address=standard, custom_fields=None)
    with pytest.raises(Permanent) if house != "742" else nullcontext():
        await world.run(job, address_fields=("missing_field", "property_use"))
    assert world.crm.calls[0] == "contact"
    assert world.purchases.sold[0].startswith(f"{house}|")
    assert world.purchases.sold[0].endswith("|62704")


@pytest.mark.parametrize(
    ("address", "reason", "code"),
    [
        (PostalAddress(), Reason.MISSING_ADDRESS, "ADDRESS_MISSING"),
        (PostalAddress("PO Box 12", "Springfield", "IL", "62704"), Reason.BAD_ADDRESS, "ADDRESS_PO_BOX"),
        (PostalAddress("Main St", "Springfield", "IL", "62704"), Reason.BAD_ADDRESS, "ADDRESS_INCOMPLETE"),
        (PostalAddress("12 King St W", "Toronto", "ON", "M5H 1A1", "CA"), Reason.BAD_ADDRESS, "ADDRESS_NOT_US"),
    ],
)
async def test_no_usable_address_buys_nothing_and_shows_on_the_contact(
    world: World, address: PostalAddress, reason: Reason, code: str
) -> None:
    world.contact(address=address)
    error = await ended(world, claim(address=address))
    assert (error.reason, error.outcome, error.codes) == (reason, Outcome.NO_ADDRESS, (code,))
    assert world.purchases.sold == []
    assert world.fields()["enrichment_status"] == "NO_ADDRESS"
    assert world.tags() == {"enrich_no_address"}


async def test_out_of_the_area_buys_nothing_and_succeeds(world: World) -> None:
    area = RuleEntry(code="OUT_OF_AREA", enabled=True, params={"states": ["TX"]})
    complete = await world.run(claim(), rules=[area])
    assert (complete.outcome, complete.codes) == (Outcome.DISQUALIFIED, ("OUT_OF_AREA",))
    assert world.purchases.sold == []
    assert world.tags() == {"dq_out_of_area"}


async def test_the_same_property_of_another_contact_is_for_review(world: World) -> None:
    world.sightings.elsewhere.add(KEY)
    complete = await world.run(claim())
    assert (complete.outcome, complete.codes) == (Outcome.REVIEW, ("DUPLICATE_LEAD",))
    assert world.sightings.asked == [(KEY, 60 * 86_400.0)]
    assert world.purchases.sold == [KEY]


async def test_nobody_is_asked_for_duplicates_when_no_rule_wants_them(world: World) -> None:
    await world.run(claim(), rules=[RuleEntry(code="DUPLICATE_LEAD", enabled=False)])
    assert world.sightings.asked == []


# The look-up


@pytest.mark.parametrize(
    ("answer", "reason", "outcome", "tag"),
    [
        (NoMatch("Street is not similar"), Reason.PROPERTY_NOT_FOUND, Outcome.NO_MATCH, "enrich_no_match"),
        (BadAddress("zip must be 5 digits"), Reason.BAD_ADDRESS, Outcome.NO_ADDRESS, "enrich_no_address"),
    ],
)
async def test_no_property_shows_on_the_contact_before_the_job_ends(
    world: World, answer: Any, reason: Reason, outcome: Outcome, tag: str
) -> None:
    world.purchases.answers[KEY] = answer
    error = await ended(world, claim())
    assert (error.reason, error.outcome) == (reason, outcome)
    assert str(error).endswith(f": {answer.reason}"), "the sentence names whose word it is"
    assert world.fields()["enrichment_status"] == outcome
    assert world.tags() == {tag}


async def test_of_another_houses_record_nothing_is_written(world: World) -> None:
    neighbour = record()
    neighbour["data"]["propertyInfo"] = {
        "address": {"house": "744", "zip": "62704", "city": "Springfield", "state": "IL"}
    }
    world.purchases.answers[KEY] = Found(neighbour, "190000002")
    error = await ended(world, claim())
    assert (error.reason, error.outcome, error.codes) == (
        Reason.PROPERTY_NOT_FOUND,
        Outcome.NO_MATCH,
        ("ADDRESS_MISMATCH",),
    )
    assert not {"owner_name", "property_data_id", "estimated_value", "disqualified"} & world.fields().keys()


@pytest.mark.parametrize(("on", "sold"), [(False, [KEY]), (True, [KEY, "742|EVERGREEN TERRACE||62704"])])
async def test_the_second_spelling_is_one_more_paid_try_and_only_where_wanted(
    world: World, on: bool, sold: list[str]
) -> None:
    world.purchases.answers[KEY] = NoMatch("not similar")
    await ended(world, claim(), second_spelling=on)
    assert world.purchases.sold == sold


async def test_the_second_spelling_can_find_the_property(world: World) -> None:
    world.purchases.answers = {"742|EVERGREEN TERRACE||62704": Found(record(), "190000001")}
    assert (await world.run(claim(), second_spelling=True)).outcome is Outcome.QUALIFIED


async def test_mock_data_of_a_test_key_is_marked(world: World) -> None:
    world.purchases.answers[KEY] = Found({**record(), "live": False}, "190000001", live=False)
    assert "mock data" in (await world.run(claim())).note


@pytest.mark.parametrize(
    "error",
    [
        Transient(TIMEOUT, provider="realestateapi"),
        Throttled("429", provider="realestateapi", until_ms=1),
        ProviderOut("401", provider="realestateapi", kind="auth"),
        Permanent("unknown key", reason=Reason.REJECTED_BY_PROVIDER),
        ValueError("ours"),
    ],
)
async def test_the_sellers_errors_are_the_runners_to_judge(world: World, error: Exception) -> None:
    world.purchases.answers[KEY] = error
    with pytest.raises(type(error)) as caught:
        await world.run(claim())
    assert caught.value is error
    assert world.crm.calls == []


# The rules' word on the contact


async def test_a_disqualified_lead_is_a_job_that_succeeded(world: World) -> None:
    world.purchases.answers[KEY] = Found(record(mlsActive=True, equityPercent=5), "190000001")
    complete = await world.run(claim())
    assert (complete.outcome, complete.codes) == (Outcome.DISQUALIFIED, ("MLS_ACTIVE", "LOW_EQUITY"))
    assert world.fields()["disqualify_reasons"] == "MLS_ACTIVE,LOW_EQUITY"
    assert world.tags() == {"dq_mls_active", "dq_low_equity"}


async def test_tags_of_ours_that_no_longer_hold_go_and_no_other(world: World) -> None:
    held = ("seller", "dq_mls_active", "review", "hot")
    world.contact(tags=held)
    await world.run(claim(tags=held))
    assert world.crm.calls == ["put", "remove_tags", "add_tags"]
    assert world.tags() == {"seller", "hot", "qualified"}


# A second run


async def test_an_echo_of_the_same_data_writes_nothing(world: World) -> None:
    await world.run(claim())
    world.steps.known.clear()
    world.crm.calls.clear()
    world.clock.advance(days=3)  # enriched_at alone is no difference
    complete = await world.run(claim(kind="update", event_ms=0, job_id="j2"), notes=True)
    assert world.crm.calls == ["contact"]
    assert complete.note == "nothing changed"


async def test_a_second_try_buys_nothing_and_writes_only_what_is_missing(world: World) -> None:
    world.crm.errors["add_tags"] = [Transient(TIMEOUT)]
    with pytest.raises(Transient):
        await world.run(claim())
    world.crm.calls.clear()
    await world.run(claim(attempt=2, rerun=True))
    assert world.purchases.sold == [KEY]
    assert world.crm.calls == ["contact", "add_tags"]


async def test_a_put_whose_answer_was_lost_is_not_sent_again(world: World) -> None:
    world.crm.after["put"] = [Transient(TIMEOUT)]
    with pytest.raises(Transient):
        await world.run(claim())
    assert world.steps.known["fields"].ended_ms is None
    world.crm.calls.clear()
    await world.run(claim(attempt=2, rerun=True))
    assert world.crm.calls == ["contact", "add_tags"]
    assert world.steps.known["fields"].ended_ms is not None


async def test_what_was_written_is_kept_as_it_was_sent(world: World) -> None:
    await world.run(claim())
    kept = unpack_fields(world.steps.known["fields"].result)
    assert kept == world.crm.sent[0]
    assert kept["estimated_value"] == 342000
    assert unpack_tags(world.steps.known["tags"].result).added == ("QUALIFIED",)


async def test_a_second_try_adds_to_what_the_first_one_wrote(world: World) -> None:
    world.crm.errors["add_tags"] = [Transient(TIMEOUT)]
    with pytest.raises(Transient):
        await world.run(claim())
    first = world.crm.sent[0]
    somebody = world.crm.contacts["c1"]
    world.crm.contacts["c1"] = replace(somebody, custom_fields={**somebody.custom_fields, "id_bedrooms": 9})
    await world.run(claim(attempt=2, rerun=True))
    assert world.crm.sent[1:] == [{"bedrooms": 3}]
    assert unpack_fields(world.steps.known["fields"].result) == first


async def test_an_address_that_changed_between_two_tries_is_bought_anew(world: World) -> None:
    """What an earlier try bought for the old address is not the new one's record."""
    world.crm.errors["put"] = [Transient(TIMEOUT)]
    with pytest.raises(Transient):
        await world.run(claim())
    moved = PostalAddress("9 Oak St", "Springfield", "IL", "62704")
    world.contact(address=moved)
    error = await ended(world, claim(attempt=2, rerun=True, address=moved))
    assert error.reason is Reason.PROPERTY_NOT_FOUND
    assert world.purchases.sold == [KEY, "9|OAK ST||62704"]
    error = await ended(world, claim(attempt=3, rerun=True, address=moved))
    assert world.purchases.sold == [KEY, "9|OAK ST||62704"]


async def test_after_a_lost_lease_nothing_more_is_written(world: World) -> None:
    world.purchases.answers[KEY] = Found(record(), "190000001")
    pipeline, steps = world.pipeline(), world.steps
    sold = world.purchases.buy

    async def lose_it(*args: Any, **more: Any) -> Any:
        answer = await sold(*args, **more)
        steps.lost = True
        return answer

    world.purchases.buy = lose_it  # type: ignore[method-assign]
    with pytest.raises(LostLease):
        await pipeline.run(claim(), steps)
    assert world.crm.calls == []


# The first reason stands


async def test_a_no_match_whose_write_fails_is_tried_again_and_keeps_its_reason(world: World) -> None:
    world.purchases.answers[KEY] = NoMatch("not similar")
    world.crm.errors["put"] = [Transient(TIMEOUT), Transient(TIMEOUT), Transient(TIMEOUT)]
    for attempt in (1, 2):
        with pytest.raises(Transient):
            await world.run(claim(attempt=attempt, rerun=attempt > 1))
    error = await ended(world, claim(attempt=3, rerun=True))
    assert (error.reason, error.outcome) == (Reason.PROPERTY_NOT_FOUND, Outcome.NO_MATCH)


@pytest.mark.parametrize("call", ["put", "add_tags"])
async def test_a_no_match_of_a_contact_that_is_gone_keeps_its_reason(world: World, call: str) -> None:
    world.purchases.answers[KEY] = NoMatch("not similar")
    world.crm.errors[call] = [GONE]
    assert (await ended(world, claim())).reason is Reason.PROPERTY_NOT_FOUND


async def test_a_contact_that_went_between_two_tries_keeps_the_first_reason(world: World) -> None:
    world.purchases.answers[KEY] = NoMatch("not similar")
    world.crm.errors["put"] = [Transient(TIMEOUT)]
    with pytest.raises(Transient):
        await world.run(claim())
    world.crm.errors["contact"] = [GONE]
    error = await ended(world, claim(attempt=2, rerun=True))
    assert (error.reason, error.outcome, str(error)) == (
        Reason.PROPERTY_NOT_FOUND,
        Outcome.NO_MATCH,
        "no such property: not similar",
    )


@pytest.mark.parametrize("call", ["contact", "put"])
async def test_without_an_ending_a_contact_that_is_gone_is_not_found(world: World, call: str) -> None:
    world.crm.errors[call] = [GONE]
    assert (await ended(world, claim(kind="opportunity"))).reason is Reason.CONTACT_NOT_FOUND


async def test_an_incomplete_address_of_a_contact_that_is_gone_is_a_bad_address(world: World) -> None:
    world.crm.errors = {"contact": [GONE], "put": [GONE]}
    error = await ended(world, claim(address=PostalAddress("742 Evergreen Terrace")))
    assert error.reason is Reason.BAD_ADDRESS


async def test_a_later_run_that_finds_the_property_forgets_the_first_reason(world: World) -> None:
    world.purchases.answers[KEY] = NoMatch("not similar")
    world.crm.errors["put"] = [Transient(TIMEOUT), GONE]
    with pytest.raises(Transient):
        await world.run(claim())
    moved = PostalAddress("9 Oak St", "Springfield", "IL", "62704")
    world.contact(address=moved)
    found = record()
    found["data"]["propertyInfo"] = {"address": {"house": "9", "zip": "62704"}}
    world.purchases.answers["9|OAK ST||62704"] = Found(found, "190000009")
    error = await ended(world, claim(attempt=2, rerun=True, address=moved))
    assert error.reason is Reason.CONTACT_NOT_FOUND


@pytest.mark.parametrize(
    "error", [Throttled("429", provider="ghl:loc1", until_ms=1), ProviderOut("401", provider="ghl:loc1", kind="auth")]
)
async def test_a_no_match_waits_for_a_provider_that_is_away(world: World, error: Exception) -> None:
    world.purchases.answers[KEY] = NoMatch("not similar")
    world.crm.errors["put"] = [error]
    with pytest.raises(type(error)):
        await world.run(claim(attempt=3, rerun=True))


# Fields, notes, marks


async def test_a_field_that_the_location_lacks_is_looked_for_once_and_skipped_with_one_warning(world: World) -> None:
    del world.crm.known["lender_name"], world.crm.known["owner_name"]
    pipeline = world.pipeline()
    with capture_logs() as logs:
        await pipeline.run(claim(), world.steps)
        world.steps.known.clear()
        await pipeline.run(claim(job_id="j2"), world.steps)
    assert world.crm.calls.count("refresh") == 1
    assert [(line["event"], line["key"]) for line in logs if line["event"] == "custom_field_missing"] == [
        ("custom_field_missing", "owner_name"),
        ("custom_field_missing", "lender_name"),
    ]
    assert "owner_name" not in world.fields()


async def test_a_missing_field_that_was_made_since_is_found_without_a_restart(world: World) -> None:
    made = world.crm.known.pop("owner_name")
    pipeline = world.pipeline()
    await pipeline.run(claim(), world.steps)
    world.clock.advance(minutes=11)
    world.crm.known = {**world.crm.known, "contact_owner": replace(made, key="contact_owner")}  # found by its name
    await pipeline.run(claim(job_id="j2", kind="update"), world.steps)
    assert world.fields()["owner_name"] == "Alex Q Sample"


async def test_a_field_that_did_not_stick_is_a_warning_with_its_key(world: World) -> None:
    world.crm.deaf = {"id_owner_name", "id_county"}
    with capture_logs() as logs:
        complete = await world.run(claim())
    assert complete.outcome is Outcome.QUALIFIED
    [warning] = [line for line in logs if line["event"] == "custom_fields_not_kept"]
    assert sorted(warning["keys"]) == ["county", "owner_name"]


async def test_nothing_of_the_person_is_in_the_warnings(world: World) -> None:
    world.crm.deaf = {"id_owner_name"}
    with capture_logs() as logs:
        await world.run(claim())
    assert "Sample" not in repr(logs)


async def test_a_note_is_written_once_a_job_and_only_where_wanted(world: World) -> None:
    await world.run(claim())
    assert world.crm.note_bodies == []
    world.contact()
    world.steps.known.clear()
    world.purchases.answers[KEY] = Found(record(mlsActive=True), "190000001")
    world.crm.after["add_note"] = [Transient(TIMEOUT)]
    with pytest.raises(Transient):
        await world.run(claim(job_id="j2"), notes=True)
    await world.run(claim(attempt=2, rerun=True, job_id="j2"), notes=True)
    [note] = world.crm.note_bodies
    assert "DISQUALIFIED" in note
    assert "MLS_ACTIVE" in note
    assert note.endswith("[leadenrich j2]")


async def test_a_note_that_was_not_reached_is_written_by_the_next_run(world: World) -> None:
    world.crm.errors["add_note"] = [Transient(TIMEOUT)]
    with pytest.raises(Transient):
        await world.run(claim(), notes=True)
    await world.run(claim(attempt=2, rerun=True), notes=True)
    assert len(world.crm.note_bodies) == 1


async def test_a_run_that_ended_right_before_its_note_is_made_up_for(world: World) -> None:
    await world.run(claim())
    assert "note" not in world.steps.known
    await world.run(claim(rerun=True), notes=True)
    assert len(world.crm.note_bodies) == 1


async def test_the_failed_mark_is_the_status_alone(world: World) -> None:
    world.contact(tags=("qualified",))
    await world.pipeline().leave_failed_mark(claim(attempt=3))
    assert world.fields() == {"enrichment_status": "FAILED"}
    assert world.tags() == {"qualified"}


async def test_the_failed_mark_lets_its_errors_out(world: World) -> None:
    world.crm.errors["put"] = [GONE]
    with pytest.raises(Permanent):
        await world.pipeline().leave_failed_mark(claim())


async def test_a_preview_writes_nothing(world: World) -> None:
    preview = await world.pipeline().preview(claim(), world.steps)
    assert world.crm.calls == []
    assert preview.decision.verdict.outcome is Outcome.QUALIFIED
    assert preview.plan.fields["id_owner_name"] == "Alex Q Sample"
    assert preview.plan.add_tags == ("QUALIFIED",)


async def test_an_unfinished_tag_step_is_closed_when_the_contact_shows_it_done(world: World) -> None:
    world.crm.after["add_tags"] = [Transient(TIMEOUT)]
    with pytest.raises(Transient):
        await world.run(claim())
    assert world.steps.known["tags"] == StepRecord("tags", NOW_MS)
    world.crm.calls.clear()
    await world.run(claim(attempt=2, rerun=True))
    assert world.crm.calls == ["contact"]
    assert world.steps.known["tags"].ended_ms is not None
