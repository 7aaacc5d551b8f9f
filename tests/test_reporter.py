"""What a job's log line says of an error, and what it keeps to itself."""

from __future__ import annotations

import io
import json
import logging

import pytest

from leadenrich.core.lead import Lead, PostalAddress
from leadenrich.daemon.reporter import Reporter, without_person
from leadenrich.store.queue import Receipt, Submission
from leadenrich.telemetry import logs
from leadenrich.telemetry.metrics import Metrics
from leadenrich.telemetry.redaction import Redactor
from leadenrich.telemetry.sink import Sink

LEAD = Lead(
    location_id="L1",
    contact_id="C1",
    kind="create",
    address=PostalAddress("12B Elm Court", "Springfield", "IL", "62704"),
    first_name="Jo",
    last_name="Ann-Marie (Smith",
    email="jo@example.org",
    phone="+1 217 555 0199",
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no house 12b ELM COURT here", "no house ******** here"),
        ("nothing on Elm Court.", "nothing on ********."),
        ("the elm courtyard is none", "the elm courtyard is none"),
        ("ANN-MARIE (SMITH exists; so does jo@example.org", "******** exists; so does ********"),
        ("call +1 217 555 0199", "call ********"),
        ("Jo is too short to be told from a word", "Jo is too short to be told from a word"),
        ("line 1\nline 2", "line 1\nline 2"),
    ],
)
def test_a_vendors_complaint_names_nobody(text: str, shown: str) -> None:
    assert without_person(text, LEAD) == shown


def test_of_a_lead_without_details_nothing_is_taken_away() -> None:
    assert without_person("a b c", Lead(location_id="L1", contact_id="C1", kind="opportunity")) == "a b c"


def test_a_webhook_s_line_takes_no_closer_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are thousands a second: each member looked at would cost more than all the rest of a webhook."""
    monkeypatch.setattr(Redactor, "fields", lambda *_: pytest.fail("looked at each member"))
    told = io.StringIO()
    writer = logs._Writer(Sink(told), logs._Json(Redactor(["a-secret"]), priority=False), logging.INFO)
    monkeypatch.setattr(logs, "_writer", writer)
    report = Reporter(Metrics(process=False))
    report.receipt(Submission(LEAD), Receipt("queued", "job1"))
    report.receipt(Submission(LEAD), Receipt("ignored", None, "no address"))
    queued, ignored = map(json.loads, told.getvalue().splitlines())
    assert (queued["event"], queued["job_id"], "why" in queued) == ("queued", "job1", False)
    assert (ignored["event"], ignored["why"]) == ("ignored", "no address")
    assert ignored["contact_id"] == "C1"
    assert "job_id" not in ignored, "there is none to look for"
