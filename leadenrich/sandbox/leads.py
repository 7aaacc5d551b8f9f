"""The demo's sample leads: who they are, what the sandbox has for them, and how each must end.

The ends are those of the default rules without a service area, for the leads as they are named here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from leadenrich.core.job import JobState, Outcome, Reason
from leadenrich.core.lead import PostalAddress
from leadenrich.sandbox.crm import FakeContact, vendor_id
from leadenrich.sandbox.events import contact_event
from leadenrich.sandbox.keys import SandboxKeys
from leadenrich.sandbox.streets import STREETS, street_key

__all__ = ["DEMO_LOCATION_ID", "DemoLead", "SandboxKeys", "demo_leads", "webhook_body"]

DEMO_LOCATION_ID: Final = "SandboxLocation00001"


@dataclass(frozen=True, slots=True)
class DemoLead:
    """One sample lead and its expected end.

    `codes` are what the job shows as `disqualified_by`: address, look-up, disqualify and review rules, not `info`.
    `tries` is the number of tries it takes; `in_ghl` is False for a contact that HighLevel does not have.
    `sample` is the file in samples/ that the look-up answers from, `no_match`, or "" where nothing is looked up.
    """

    story: str
    contact_id: str
    first_name: str
    last_name: str
    address: PostalAddress
    sample: str
    state: JobState = JobState.SUCCEEDED
    outcome: Outcome | None = Outcome.QUALIFIED
    reason: Reason | None = None
    codes: tuple[str, ...] = ()
    tries: int = 1
    in_ghl: bool = True
    location_id: str = DEMO_LOCATION_ID
    email: str = ""
    phone: str = ""
    added_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


def _lead(story: str, line1: str, *, city: str = "Springfield", state: str = "IL", zip_code: str = "62704") -> DemoLead:
    street = STREETS.get(street_key(line1.partition(" ")[2].partition(" Apt")[0].upper()))
    first, last = street.owner if street else ("Alex", "Sample")
    address = PostalAddress(line1=line1, city=city, state=state, postal_code=zip_code)
    return DemoLead(story, "", first, last, address, street.sample if street else "")


def _disqualified(lead: DemoLead, *codes: str) -> DemoLead:
    return replace(lead, outcome=Outcome.DISQUALIFIED, codes=codes)


def _review(lead: DemoLead, *codes: str) -> DemoLead:
    return replace(lead, outcome=Outcome.REVIEW, codes=codes)


def _no_match(lead: DemoLead, *codes: str) -> DemoLead:
    failed = replace(lead, state=JobState.FAILED_FINAL, reason=Reason.PROPERTY_NOT_FOUND)
    return replace(failed, outcome=Outcome.NO_MATCH, codes=codes)


def _no_address(lead: DemoLead, reason: Reason, *codes: str) -> DemoLead:
    return replace(lead, state=JobState.FAILED_FINAL, reason=reason, outcome=Outcome.NO_ADDRESS, codes=codes)


# Ordered so that the first 25, which `leadenrich demo` sends, show every kind of end.
_TEMPLATES: Final = (
    _lead("owner-occupied house with much equity", "742 Evergreen Ter"),
    _disqualified(_lead("listed for sale", "31 Listed Ln"), "MLS_ACTIVE"),
    _disqualified(_lead("under contract", "44 Pending Pl"), "MLS_PENDING"),
    _disqualified(_lead("sold a few months ago to somebody else", "50 Newowner Rd"), "RECENT_SALE", "OWNER_MISMATCH"),
    replace(_lead("the vendor's gateway fails once, the second try works", "502 Flaky St"), tries=2),
    _lead("the vendor asks for a second's patience", "429 Turnstile Rd"),
    _no_match(_lead("no such property (HTTP 404)", "404 Nowhere Ln")),
    _no_match(_lead("no such property (404 inside a 200)", "200 Nowhere Ln")),
    _no_address(_lead("a PO box", "PO Box 123"), Reason.BAD_ADDRESS, "ADDRESS_PO_BOX"),
    _no_address(
        _lead("no address at all", "", city="", state="", zip_code=""), Reason.MISSING_ADDRESS, "ADDRESS_MISSING"
    ),
    _no_match(_lead("the vendor answers with the neighbour's house", "742 Mismatch Rd"), "ADDRESS_MISMATCH"),
    replace(
        _lead("the contact is gone from HighLevel", "88 Farewell Rd"),
        state=JobState.FAILED_FINAL,
        outcome=None,
        reason=Reason.CONTACT_NOT_FOUND,
        in_ghl=False,
    ),
    _disqualified(_lead("too little equity", "77 Leverage Ln"), "LOW_EQUITY"),
    _review(_lead("little equity, but an auction is set", "13 Courthouse Sq"), "LOW_EQUITY"),
    _review(_lead("hardly anything is known of the house", "2 Sparse St"), "INSUFFICIENT_DATA"),
    _disqualified(_lead("owned by a bank", "5 Foreclosed Rd"), "BANK_OWNED"),
    _disqualified(_lead("owned by the city", "1 Civic Plz", zip_code="62701"), "GOVERNMENT_OWNED"),
    _disqualified(_lead("a mobile home", "66 Trailer Park Rd"), "MOBILE_HOME"),
    _disqualified(_lead("a bare lot", "70 Meadow Lot Rd"), "VACANT_LAND"),
    _disqualified(_lead("an office building", "90 Office Park Dr", zip_code="62701-1234"), "NON_RESIDENTIAL"),
    _lead("listed, but for rent", "9 Landlord Ln"),
    _lead("inherited, vacant, taxes unpaid", "33 Heritage Dr", state="Illinois"),
    _lead("a flat", "18 Lakeview Ct Apt 5B", zip_code="62703"),
    _lead("no mortgage", "21 Freehold Ave", zip_code=""),
    _lead("held by the family's trust", "63 Trustee Ct"),
    _lead("owned by the lead's company", "88 Holdings Blvd"),
    _lead("the listing was withdrawn", "27 Withdrawn Way"),
    _disqualified(_lead("owes more than it is worth", "78 Underwater Dr"), "LOW_EQUITY"),
    _lead("handed over within the family lately", "52 Quitclaim Ct"),
    _lead("an apartment house", "120 Apartment Row"),
    _lead("an owner whose name is Bank", "14 Banker St"),
    _lead("a zip that lost its zero", "17 Zeroless Pass", city="Willowbrook", state="NJ", zip_code="08046"),
    _lead("all numbers as text", "29 Stringer St"),
    _review(_lead("most members left out", "3 Minimal Ln"), "INSUFFICIENT_DATA"),
    _lead("the sale under another name", "7 Snakebark Trl"),
    _lead("taxes in cents", "8 Centavo Ct"),
    _lead("members nobody has seen before", "11 Novelty Way"),
    _lead("a test key's answer", "6 Rehearsal Ave"),
    _no_match(_lead("no such property (empty data)", "204 Nowhere Ln")),
    _no_match(_lead("no such property (a flag in the data)", "700 Nowhere Ln")),
)
LEAD_KINDS: Final = len(_TEMPLATES)


def demo_leads(count: int) -> list[DemoLead]:
    """`count` leads, cycling over the kinds; each has its own contact id and, where it has one, its own address."""
    return [_numbered(_TEMPLATES[number % LEAD_KINDS], number) for number in range(count)]


def _numbered(template: DemoLead, number: int) -> DemoLead:
    lap = number // LEAD_KINDS
    house, _, street = template.address.line1.partition(" ")
    line1 = f"{int(house) + 1000 * lap} {street}" if house.isdecimal() else template.address.line1
    return replace(
        template,
        contact_id=vendor_id("demo contact", str(number)),
        address=PostalAddress(line1, template.address.city, template.address.state, template.address.postal_code),
        email=f"{template.first_name}.{template.last_name}.{number}@example.com".lower(),
        phone=f"+1217555{100 + number % 100:04d}",
        added_at=datetime.now(UTC) - timedelta(minutes=_minutes_ago(number)),
    )


def _minutes_ago(number: int) -> int:
    """Minutes before now at which lead `number` was added: spread over a day, the first one last."""
    return 1 + number % 1440


def webhook_body(lead: DemoLead, *, now: datetime | None = None) -> bytes:
    """The ContactCreate event of a lead as HighLevel delivers it; each call makes a new webhook id."""
    return contact_event("ContactCreate", as_contact(lead), now=now)


def as_contact(lead: DemoLead) -> FakeContact:
    """The lead as the CRM keeps it."""
    details = {
        "firstName": lead.first_name,
        "lastName": lead.last_name,
        "email": lead.email,
        "phone": lead.phone,
        "address1": lead.address.line1,
        "city": lead.address.city,
        "state": lead.address.state,
        "postalCode": lead.address.postal_code,
        "country": "US",
        "source": "sandbox",
    }
    contact = FakeContact(lead.contact_id, lead.location_id, {name: value for name, value in details.items() if value})
    contact.add_tags(["seller lead"])
    contact.added_at = contact.updated_at = lead.added_at
    return contact
