"""Which column of a file is which member of a lead: by HighLevel's own names and common spellings, or as told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# The first spelling that the file has wins. Compared without case, blanks, underscores and other signs. HighLevel's own
# export says "Contact Id", "First Name", "Street Address" or "Address", "Postal Code".
# Tags are not read: those of a file are as old as the file, and the job reads the contact's own.
SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "contact_id": ("contactid", "ghlcontactid", "highlevelcontactid", "contactidentifier"),
    "location_id": ("locationid", "ghllocationid", "subaccountid", "subaccount"),
    "address1": ("address1", "streetaddress", "address", "street", "addressline1", "streetaddress1", "street1",
                 "propertyaddress", "mailingaddress"),
    "city": ("city", "town", "propertycity", "mailingcity"),
    "state": ("state", "region", "province", "stateprovince", "propertystate", "mailingstate"),
    "postal_code": ("postalcode", "zip", "zipcode", "postcode", "zip5", "propertyzip", "mailingzip"),
    "country": ("country", "countrycode"),
    "full_address": ("fulladdress", "addressfull", "completeaddress"),
    "first_name": ("firstname", "givenname", "forename"),
    "last_name": ("lastname", "surname", "familyname"),
    "full_name": ("fullname", "name", "contactname"),
    "email": ("email", "emailaddress", "mail"),
    "phone": ("phone", "phonenumber", "mobile", "mobilephone", "cell", "telephone"),
}  # fmt: skip

_NOT_LETTER = re.compile(r"[\W_]+")


class BadColumns(Exception):
    """The columns cannot be understood; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Member of a lead → where its column stands, from 0."""

    places: Mapping[str, int]

    def named(self, header: Sequence[str]) -> dict[str, str]:
        """Member → the column's name."""
        return {member: header[place] for member, place in self.places.items()}


def match_columns(header: Sequence[str], told: Mapping[str, str]) -> ColumnMap:
    """`told` maps members to names of columns and goes before what is found; "" leaves a member out.

    Raises: BadColumns.
    """
    folded = [_folded(name) for name in header]
    places: dict[str, int] = {}
    for member, column in told.items():
        if member not in SPELLINGS:
            raise BadColumns(f"--map {member}: a lead has no {member}; it has {', '.join(SPELLINGS)}")
        if column:
            places[member] = _place(column, header, folded)
    for member, spellings in SPELLINGS.items():
        if member not in told:
            place = next((folded.index(name) for name in spellings if name in folded), None)
            if place is not None and place not in places.values():
                places[member] = place
    if "contact_id" not in places:
        raise BadColumns(
            f'no column is the contact id: name it with --map contact_id="COLUMN"; there are {_listed(header)}'
        )
    return ColumnMap({member: places[member] for member in SPELLINGS if member in places})


def _place(column: str, header: Sequence[str], folded: Sequence[str]) -> int:
    """By its very name, else without case and signs."""
    if column in header:
        return header.index(column)
    wanted = _folded(column)
    if wanted and wanted in folded:
        return folded.index(wanted)
    raise BadColumns(f"there is no column {column!r}; there are {_listed(header)}")


def _folded(name: str) -> str:
    return _NOT_LETTER.sub("", name.casefold())


def _listed(header: Sequence[str], most: int = 30) -> str:
    shown = ", ".join(repr(name) for name in header[:most])
    return shown + (f" and {len(header) - most} more" if len(header) > most else "")
