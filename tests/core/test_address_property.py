"""Whatever people type gives an address or a rejection, and an address has one key."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from leadenrich.core.address import AddressRejected, as_postal, long_form, normalise
from leadenrich.core.lead import PostalAddress
from leadenrich.core.states import STATES, state_code, state_of_zip

_TYPED = """
123 12-34 1/2 0 W7373 123A N SW NORTH East Main Oak 5 5th Elm County Highway Route RR Box PO St Street Ave Ct Rd Cir
Loop Apt Unit # #5 Bldg Lot Fl 5B PH Rear Dallas New York Saint St. Louis TX Texas OR NE DC 75201 10001-1234 97203 & , ;
( ) USA Canada n/a TBD é ½ … － １２
"""
WORDS = st.sampled_from([*_TYPED.split(), "\n", "\t"])
LINES = st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=60)
ADDRESSES = st.builds(
    PostalAddress,
    line1=LINES,
    city=st.sampled_from(["", "Dallas", "St. Louis", "new york"]) | LINES,
    state=st.sampled_from(["", "TX", "ny", "Missouri"]) | st.text(max_size=10),
    postal_code=st.sampled_from(["", "75201", "10001-1234", "z:63101", "8046"]) | st.text(max_size=10),
    country=st.sampled_from(["", "US", "CA"]),
    full=st.just("") | LINES,
)


@given(ADDRESSES)
@settings(max_examples=400, deadline=None)
def test_any_text_gives_an_address_or_a_rejection_and_normalising_again_the_same_key(typed: PostalAddress) -> None:
    try:
        found = normalise(typed)
    except AddressRejected:
        return
    assert normalise(as_postal(found)).key == found.key
    assert found.house
    assert found.street
    assert found.zip5 or (found.city and found.state)
    assert all(part == part.upper() for part in (found.house, found.street, found.unit, found.city, found.state))
    second = long_form(found)
    assert second is None or second.key != found.key


@given(st.text(max_size=30))
def test_a_state_is_known_or_empty(text: str) -> None:
    assert state_code(text) in STATES | {""}


@given(st.integers(0, 99_999))
def test_every_assigned_zip_lies_in_a_state(number: int) -> None:
    assert state_of_zip(f"{number:05d}") in STATES | {""}
