"""Which column is what: found by its name, or told."""

from __future__ import annotations

import pytest

from leadenrich.bulk.columns import BadColumns, match_columns

EXPORT = ("Contact Id", "First Name", "Last Name", "Phone", "Email", "Street Address", "City", "State", "Postal Code",
          "Country", "Created", "Last Activity", "Tags")  # fmt: skip


def test_highlevels_own_export_is_understood() -> None:
    assert match_columns(EXPORT, {}).named(EXPORT) == {
        "contact_id": "Contact Id",
        "address1": "Street Address",
        "city": "City",
        "state": "State",
        "postal_code": "Postal Code",
        "country": "Country",
        "first_name": "First Name",
        "last_name": "Last Name",
        "email": "Email",
        "phone": "Phone",
    }


@pytest.mark.parametrize("spelling", ["contact_id", "CONTACT ID", "contactId", " Contact-ID ", "ContactID"])
def test_case_blanks_and_signs_do_not_matter(spelling: str) -> None:
    assert match_columns(("x", spelling), {}).places == {"contact_id": 1}


def test_what_is_told_goes_before_what_is_found() -> None:
    header = ("Contact Id", "Address", "Property Street", "Id")
    told = {"contact_id": "Id", "address1": "property street"}
    assert match_columns(header, told).named(header) == {"contact_id": "Id", "address1": "Property Street"}
    assert "address1" not in match_columns(header, {"address1": ""}).places


def test_a_column_told_for_one_member_is_not_found_for_another() -> None:
    header = ("Contact Id", "Name", "Street")
    assert match_columns(header, {"last_name": "Name"}).named(header) == {
        "contact_id": "Contact Id", "address1": "Street", "last_name": "Name",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "told", "says"),
    [
        (("Id", "Street"), {}, r"no column is the contact id.*--map contact_id=.*'Id', 'Street'"),
        (("Contact Id",), {"street": "x"}, "a lead has no street; it has contact_id"),
        (("Contact Id", "Street"), {"city": "Town"}, "there is no column 'Town'; there are 'Contact Id', 'Street'"),
    ],
)
def test_what_cannot_be_understood_is_told_with_what_there_is(header, told, says: str) -> None:
    with pytest.raises(BadColumns, match=says):
        match_columns(header, told)
