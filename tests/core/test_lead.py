"""The cheap fingerprint: tells whether an address changed, and nothing else."""

from __future__ import annotations

import re
import unicodedata

import msgspec
import pytest
from hypothesis import given, strategies as st

from leadenrich.core.lead import Lead, PostalAddress, fingerprint

HOME = PostalAddress("742 Evergreen Terrace", "Springfield", "IL", "62704")


@pytest.mark.parametrize(
    "same",
    [
        PostalAddress("742 EVERGREEN  TERRACE", "springfield", "il", "62704"),
        PostalAddress("742 Evergreen Terrace.", "Springfield,", "IL", "62704-1234"),
        PostalAddress("742 Evergreen Terrace", "Springfield", "IL", "z:62704"),
        PostalAddress("742 Evergreen Terrace", "Springfield", "IL", "62704", country="US"),
    ],
)
def test_case_punctuation_and_zip4_change_nothing(same: PostalAddress) -> None:
    assert fingerprint(same) == fingerprint(HOME)


@pytest.mark.parametrize(
    "other",
    [
        PostalAddress("743 Evergreen Terrace", "Springfield", "IL", "62704"),
        PostalAddress("742 Evergreen Terrace", "Shelbyville", "IL", "62704"),
        PostalAddress("742 Evergreen Terrace", "Springfield", "MO", "62704"),
        PostalAddress("742 Evergreen Terrace", "Springfield", "IL", "62705"),
    ],
)
def test_every_part_counts(other: PostalAddress) -> None:
    assert fingerprint(other) != fingerprint(HOME)


@pytest.mark.parametrize("nothing", [PostalAddress(), PostalAddress("  "), PostalAddress("", "Dallas", "TX", "75201")])
def test_no_street_is_no_address(nothing: PostalAddress) -> None:
    assert not nothing
    assert fingerprint(nothing) == ""


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_plain_ascii_is_folded_as_any_other_text_is(street: str) -> None:
    """The quick way for it: fingerprints are kept for months and must not depend on the way that was taken."""
    as_any_other = re.sub(r"[^\w]+", " ", unicodedata.normalize("NFKC", "x" + street).casefold()).strip()
    assert fingerprint(PostalAddress("x" + street)) == as_any_other + "|||"
    accented = fingerprint(PostalAddress("x" + street + " \u00e9"))
    assert accented == f"{as_any_other} \u00e9|||"


@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_has_a_stable_fingerprint(line1: str, city: str, state: str, zip_text: str) -> None:
    address = PostalAddress(line1, city, state, zip_text)
    assert fingerprint(address) == fingerprint(address)
    assert bool(fingerprint(address)) == bool(address)


def test_a_lead_is_kept_as_json_and_read_back() -> None:
    lead = Lead(
        location_id="loc",
        contact_id="c1",
        kind="create",
        address=HOME,
        tags=("seller",),
        custom_fields={"f1": ["a", "b"]},
    )
    assert msgspec.json.decode(msgspec.json.encode(lead), type=Lead) == lead
    told_nothing = msgspec.json.decode(b'{"location_id":"loc","contact_id":"c1","kind":"api"}', type=Lead)
    assert told_nothing.tags is None
    assert told_nothing.custom_fields is None
