"""`leadenrich enrich`: a lead looked at, or worked on, while a person waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from daemon_process import look_ups, writes
from queue_desk import Desk
from shell import Shell

from leadenrich.core.job import Lane
from leadenrich.sandbox.crm import FakeContact
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.leads import demo_leads
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.queue import Submission

STORIES = {lead.story: lead.contact_id for lead in demo_leads(25)}
OWNER = STORIES["owner-occupied house with much equity"]
LISTED = STORIES["listed for sale"]
NOWHERE = STORIES["no such property (HTTP 404)"]
GONE = STORIES["the contact is gone from HighLevel"]
EQUITY = STORIES["too little equity"]
BANK = STORIES["owned by a bank"]


@pytest.fixture(autouse=True)
def _alone(connected: Shell, vendors: Sandbox) -> Iterator[None]:
    """Nothing is in the cache; faults are the test's own."""

    async def flush(desk: Desk) -> None:
        await desk.connection.execute("FLUSHALL")

    connected.desk(flush)
    vendors.rea.calls.clear()
    yield
    vendors.faults.clear()


def held(vendors: Sandbox, contact_id: str) -> FakeContact:
    return vendors.ghl.contacts[contact_id]


def jobs(shell: Shell) -> list[str]:
    return shell.done("jobs", "list").lines


def keys(shell: Shell) -> set[str]:
    async def read(desk: Desk) -> set[str]:
        return {key.decode() for key in await desk.connection.execute("KEYS", "*")}

    return shell.desk(read)


def test_a_dry_run_asks_before_it_pays_and_leaves_no_trace(connected: Shell, vendors: Sandbox) -> None:
    asked = connected.run("enrich", LISTED, "--dry-run")
    assert (asked.status, look_ups(vendors)) == (1, [])
    assert "buy it for a credit? Not a terminal, so nothing can be asked: add --yes" in asked.err
    told = connected.done("enrich", LISTED, "--dry-run", "--yes").out
    for part in (
        "look-up   bought for 1 credit",
        "verdict   DISQUALIFIED",
        "MLS_ACTIVE (disqualify): ",
        "+dq_mls_active",
    ):
        assert part in told
    assert "nothing was written to HighLevel" in told
    assert (held(vendors, LISTED).values, writes(vendors, LISTED), jobs(connected)) == ({}, [], [])
    assert len(look_ups(vendors)) == 1
    left = {key for key in keys(connected) if ":meta" not in key and "spending" not in key}
    assert {key.split(":")[1] for key in left} == {"{prop", "{credits"}, "the record and the day's credit, no contact"
    again = connected.done("enrich", LISTED, "--dry-run")
    assert "look-up   from the cache, no credit" in again.out
    assert len(look_ups(vendors)) == 1


def test_a_lead_is_enriched_and_its_job_stays_to_be_seen(connected: Shell, vendors: Sandbox) -> None:
    told = connected.done("enrich", OWNER)
    contact = held(vendors, OWNER)
    assert "qualified" in [tag.lower() for tag in contact.tags]
    said = " ".join(told.out.split())
    for part in (
        "tags +qualified ",
        "enrichment_status (empty) -> QUALIFIED",
        "fields 41 written",
        "1 credit.",
        "rules found nothing",
    ):
        assert part in said, part
    [row] = [line.split("\t") for line in jobs(connected)]
    assert row[1:5] == ["SUCCEEDED", "QUALIFIED", "", OWNER]
    shown = connected.done("jobs", "show", row[0]).out
    assert "by enrich:" in shown

    async def workers(desk: Desk) -> dict[bytes, bytes]:
        return dict(await desk.connection.execute("HGETALL", desk.keys.workers))

    assert connected.desk(workers) == {}
    again = connected.done("enrich", OWNER).out
    assert "look-up   from the cache, no credit" in again
    assert "shows all of it already: nothing to change" in again
    assert len(look_ups(vendors)) == 1


def test_while_a_job_of_the_contact_is_under_way_there_is_no_other(connected: Shell, vendors: Sandbox) -> None:
    async def submit(desk: Desk) -> str | None:
        from leadenrich.core.lead import Lead

        lead = Lead(location_id=vendors.location_id, contact_id=EQUITY, kind="api")
        return (await desk.queue.submit(Submission(lead, Lane.BULK))).job_id

    job_id = connected.desk(submit)
    told = connected.run("enrich", EQUITY)
    assert (told.status, told.out, look_ups(vendors)) == (1, "", [])
    assert told.err == f"leadenrich: job {job_id} of this contact is QUEUED: leadenrich jobs show {job_id}\n"


@pytest.mark.parametrize(
    ("contact", "says", "reason"),
    [
        (NOWHERE, "Not enriched: there is no such property. Ended at ", ["NO_MATCH", "property_not_found"]),
        (GONE, "Not enriched: HighLevel has no such contact any more", ["", "contact_not_found"]),
    ],
    ids=["no such property", "no such contact"],
)
def test_a_lead_that_cannot_be_enriched_is_told_so(
    contact: str, says: str, reason: list[str], connected: Shell
) -> None:
    told = connected.run("enrich", contact)
    assert told.status == 1
    assert says in told.out
    assert [line.split("\t")[1:4] for line in jobs(connected)] == [["FAILED_FINAL", *reason]]


def test_of_a_contact_that_is_not_there_nothing_is_said_to_be_read(connected: Shell, vendors: Sandbox) -> None:
    told = connected.run("enrich", GONE, "--dry-run", "--yes")
    assert (told.status, told.lines) == (1, [f"contact   {GONE} of {vendors.location_id}: HighLevel is asked"])
    assert f"answered 400: Contact not found for id:{GONE}\n" in told.err


def test_what_a_second_try_may_mend_is_left_to_a_daemon(connected: Shell, vendors: Sandbox) -> None:
    vendors.faults.add(Fault("bad_gateway"), match=Match(provider="realestateapi"))
    told = connected.run("enrich", BANK)
    assert told.status == 1
    assert "Waiting: next try at " in told.out
    assert "a daemon goes on with it; or: leadenrich jobs cancel " in told.err
    assert [line.split("\t")[1] for line in jobs(connected)] == ["RETRY_SCHEDULED"]


def test_a_pause_is_honoured(connected: Shell, vendors: Sandbox) -> None:
    location = f"ghl:{vendors.location_id}"
    connected.done("queue", "pause", "--reason", "clean-up")
    told = connected.run("enrich", OWNER)
    assert told.err == "leadenrich: the queue is paused (operator): clean-up; leadenrich queue resume ends it\n"
    assert connected.run("enrich", OWNER, "--dry-run").err.startswith("leadenrich: The record"), "it takes no job"
    connected.done("queue", "resume")
    for provider in ("realestateapi", location):
        connected.done("providers", "pause", provider)
        for words in ([], ["--dry-run"]):
            told = connected.run("enrich", OWNER, *words)
            assert (told.status, f"leadenrich providers resume {provider} ends it" in told.err) == (1, True)
        connected.done("providers", "resume", provider)
    assert look_ups(vendors) == []


def test_who_interrupts_it_hands_the_job_back(connected: Shell, vendors: Sandbox) -> None:
    waits = vendors.faults.add(Fault("hang", seconds=30), match=Match(provider="realestateapi"))
    command = [sys.executable, "-m", "leadenrich", "enrich", BANK, "--config", str(connected.config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "RealEstateAPI is asked" in line:
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, waits.fired <= 1) == (130, True)
    assert "is handed back: a daemon goes on with it" in errors
    assert "Traceback" not in errors
    [row] = [line.split("\t") for line in jobs(connected)]
    assert (row[1], row[6]) == ("QUEUED", "0/3")


def test_a_reader_who_leaves_ends_the_words_and_not_the_work(connected: Shell, vendors: Sandbox) -> None:
    """`leadenrich enrich … | head -1` left its job under way, for nobody."""
    command = [sys.executable, "-m", "leadenrich", "enrich", OWNER, "--config", str(connected.config)]
    reading, writing = os.pipe()
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True) as process:
        os.close(writing)
        os.close(reading)
        _, errors = process.communicate(timeout=20)
    [row] = [line.split("\t") for line in jobs(connected)]
    assert (process.returncode, errors, row[1]) == (0, "", "SUCCEEDED")


def test_a_location_must_be_one_that_is_configured(connected: Shell) -> None:
    told = connected.run("enrich", OWNER, "--location", "elsewhere")
    assert (told.status, told.out) == (78, "")
    assert told.err.startswith("ghl.locations: no location 'elsewhere' is configured: there are ")


def test_it_works_without_account_or_redis(connected: Shell) -> None:
    connected.config.write_text("")
    assert "verdict   QUALIFIED" in connected.done("enrich", OWNER, "--sandbox", "--dry-run", "--yes").out
