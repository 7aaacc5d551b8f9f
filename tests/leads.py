"""Leads for the tests."""

from __future__ import annotations

from typing import Any

from leadenrich.core.lead import Lead, PostalAddress


def lead(contact: str = "c1", street: str = "742 Evergreen Ter", **more: Any) -> Lead:
    """A lead in Springfield; no street means no address."""
    place = {"line1": street, "city": "Springfield", "state": "IL", "postal_code": "62704"} if street else {}
    address = PostalAddress(**place)
    return Lead(**{"location_id": "loc1", "contact_id": contact, "kind": "create", "address": address, **more})
