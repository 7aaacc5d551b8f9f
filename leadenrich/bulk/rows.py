"""A row of a file as a lead, or why it is none."""

from __future__ import annotations

from collections.abc import Sequence, Set

from leadenrich.bulk.columns import ColumnMap
from leadenrich.core.lead import Lead, PostalAddress
from leadenrich.core.text import ID, clean


class Unusable(Exception):
    """The row is no lead; the message says why."""


class LeadReader:
    """`served` are the configured locations, `location_id` the one of rows that name none ("": they must)."""

    def __init__(self, columns: ColumnMap, served: Set[str], location_id: str) -> None:
        self._places = columns.places
        self._served = served
        self._location_id = location_id

    def lead(self, cells: Sequence[str]) -> Lead:
        """Raises: Unusable."""
        contact_id = self._cell(cells, "contact_id")
        if not contact_id:
            raise Unusable("it has no contact id")
        if not ID.fullmatch(contact_id):
            raise Unusable(f"{contact_id[:40]!r} is no contact id")
        return Lead(
            location_id=self._location(cells),
            contact_id=contact_id,
            kind="import",
            address=PostalAddress(
                line1=self._cell(cells, "address1"),
                city=self._cell(cells, "city"),
                state=self._cell(cells, "state"),
                postal_code=self._cell(cells, "postal_code"),
                country=self._cell(cells, "country"),
                full=self._cell(cells, "full_address"),
            ),
            first_name=self._cell(cells, "first_name"),
            last_name=self._cell(cells, "last_name"),
            name=self._cell(cells, "full_name"),
            email=self._cell(cells, "email"),
            phone=self._cell(cells, "phone"),
        )

    def _location(self, cells: Sequence[str]) -> str:
        told = self._cell(cells, "location_id") or self._location_id
        if not told:
            raise Unusable("it has no location id")
        if told not in self._served:
            raise Unusable(f"its location {told[:40]!r} is none of ghl.locations")
        return told

    def _cell(self, cells: Sequence[str], member: str) -> str:
        place = self._places.get(member)
        return "" if place is None else clean(cells[place])
