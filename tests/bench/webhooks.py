"""The webhooks of the benchmark: 1.1 KB each, in the two forms that HighLevel sends, every lead another one."""

from __future__ import annotations

import json
from typing import Any

from leadenrich.sandbox.leads import DEMO_LOCATION_ID

LOCATION = DEMO_LOCATION_ID  # the fake vendors serve it
BODY_BYTES = 1_129  # as long as the bodies of the peers' benchmark
MARK = "00000000"  # where the number goes


def contact_id(number: int) -> str:
    return f"nmFmQEsNgz6AVpgLV{number:08d}"


_CONTACT: dict[str, Any] = {
    "address1": "1842 Example Avenue, Unit 4B", "city": "Springfield", "state": "IL", "country": "US",
    "email": "magdalena.example@example.com", "phone": "+12175550142", "source": "lead form: cash offer in 24h",
    "timezone": "America/Chicago",
}  # fmt: skip
_SIGNED: dict[str, Any] = {
    "type": "ContactCreate", "locationId": LOCATION, "id": contact_id(0), **_CONTACT, "postalCode": "62704",
    "firstName": "Magdalena", "lastName": "Example-Sample", "dateAdded": "2026-11-23T17:45:12.345Z", "dnd": False,
    "tags": ["new lead", "cash offer", "absentee owner", "q4-2026"], "timestamp": "2026-11-23T17:45:13.001Z",
    "customFields": [{"id": "MgobCB14YMVKuE4Ka8p1", "value": "Sell within 30 days"},
                     {"id": "Kq2tVb81YMVKuE4Ka8p2", "value": "3 bed / 2 bath, needs roof"}],
    "attributionSource": {"campaign": "Q4 cash offer", "medium": "lead form", "utmSource": "search",
                          "utmMedium": "paid", "sessionSource": "Paid Search"},
    "webhookId": f"{MARK}-bench",
}  # fmt: skip
_WORKFLOW: dict[str, Any] = {
    "contact_id": contact_id(0), **_CONTACT, "postal_code": "62704", "first_name": "Magdalena",
    "last_name": "Example-Sample", "full_name": "Magdalena Example-Sample",
    "tags": "new lead,cash offer,absentee owner,q4-2026",
    "date_created": "2026-11-23T17:45:12.345Z", "contact_type": "lead", "When to sell": "Sell within 30 days",
    "Condition": "3 bed / 2 bath, needs roof", "contact_source": "lead form: cash offer in 24h",
    "location": {"name": "Example", "address": "1 Example Street", "city": "Springfield", "id": LOCATION},
    "workflow": {"id": "5bcb8f1e-3f5c-4d8e-9d2c-0d1f4f0a7a11", "name": "New seller"},
    "attributionSource": {"campaign": "Q4 cash offer", "medium": "lead form", "utmSource": "search"},
}  # fmt: skip


def signed_form(number: int) -> bytes:
    """An app event, ContactCreate, with a webhook id of its own."""
    return _filled(_SIGNED).replace(MARK, f"{number:08d}").encode()


def workflow_form(number: int) -> bytes:
    """What the workflow action posts."""
    return _filled(_WORKFLOW).replace(MARK, f"{number:08d}").encode()


def _filled(event: dict[str, Any]) -> str:
    """The event with a landing page's address as long as is needed to be BODY_BYTES long."""
    page = {**event, "website": "https://example.com/?utm_campaign="}
    missing = BODY_BYTES - len(_compact(page))
    return _compact({**page, "website": page["website"] + "q" * missing})


def _compact(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"))
