"""The demo's promises, tried without a queue: our normaliser, the fake vendor's answer, the default rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadenrich.core.address import AddressRejected, NormalAddress, normalise
from leadenrich.core.job import Outcome
from leadenrich.enrich.names import LeadNames
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import RuleSet, compile_rules
from leadenrich.providers.realestateapi import asked
from leadenrich.sandbox.asked import read_request
from leadenrich.sandbox.catalogue import REFERENCE_DATE, find
from leadenrich.sandbox.leads import LEAD_KINDS, DemoLead, demo_leads

LEADS = demo_leads(2 * LEAD_KINDS)
LOOKED_UP = [lead for lead in LEADS if lead.sample]


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return compile_rules("standard", ())


def served(address: NormalAddress, today: datetime) -> dict[str, Any]:
    body = {**asked(address), "exact_match": True, "comps": False}
    return find(read_request(body), body, today.date()).body


@pytest.mark.parametrize("days", [0, 1, 37, 900])
@pytest.mark.parametrize("lead", LOOKED_UP, ids=lambda lead: lead.address.line1)
def test_a_lead_that_is_looked_up_ends_as_it_says(rules: RuleSet, lead: DemoLead, days: int) -> None:
    """On the samples' day and long after: the dates in the records move along."""
    today = datetime.combine(REFERENCE_DATE, datetime.min.time(), UTC) + timedelta(days=days)
    address = normalise(lead.address)
    answer = served(address, today)
    if lead.sample == "no_match":
        assert lead.outcome is Outcome.NO_MATCH
        assert answer["statusCode"] == 404 or not answer["data"] or answer["data"]["error"] is True
        return
    names = LeadNames(lead.first_name, lead.last_name)
    verdict = rules.judge(PropertyRecord(answer), lead_names=names, address=address, duplicate=False, now=today)
    telling = tuple(hit.code for hit in verdict.hits if hit.severity != "info")
    assert (verdict.outcome, telling) == (lead.outcome, lead.codes)


@pytest.mark.parametrize("lead", [it for it in LEADS if it.outcome is Outcome.NO_ADDRESS])
def test_a_lead_without_a_usable_address_is_rejected_as_it_says(lead: DemoLead) -> None:
    with pytest.raises(AddressRejected) as rejected:
        normalise(lead.address)
    assert (rejected.value.code,) == lead.codes


def test_no_two_looked_up_leads_are_the_same_purchase() -> None:
    """Else the second would be a DUPLICATE_LEAD, or answered from the cache without its street's mischief."""
    keys = [normalise(lead.address).key for lead in LOOKED_UP]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("house", range(100, 160))
def test_a_house_on_an_unknown_street_qualifies(rules: RuleSet, house: int) -> None:
    """Whoever plays with `serve --sandbox` gets a good lead out of any plausible address and name."""
    now = datetime(2026, 11, 23, tzinfo=UTC)
    address = NormalAddress(str(house), "ELM ST", "", "TOLEDO", "OH", "43604")
    record = PropertyRecord(served(address, now))
    names = LeadNames("Kim", "Anybody")
    verdict = rules.judge(record, lead_names=names, address=address, duplicate=False, now=now)
    assert (verdict.outcome, verdict.codes) == (Outcome.QUALIFIED, ())
