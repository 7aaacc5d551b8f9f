"""What was written, packed for its job: nothing is lost of what is usual, and no contact makes a job large."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from leadenrich.core import written
from leadenrich.core.written import PACKED_MAX, Tags, pack_fields, pack_tags, unpack_fields, unpack_tags
from leadenrich.enrich.mapping import compile_mapping

VALUES = st.one_of(st.text(max_size=200), st.integers(-(2**53), 2**53), st.booleans(), st.lists(st.text(max_size=20)))


@given(st.dictionaries(st.text(max_size=30), VALUES, max_size=3))
def test_a_few_fields_come_back_as_they_were(fields: dict[str, object]) -> None:
    packed = pack_fields(fields)  # type: ignore[arg-type]
    assert unpack_fields(packed) == fields or len(packed) <= PACKED_MAX < 4 * sum(map(len, map(str, fields.values())))


def test_the_usual_fields_take_a_fraction_of_their_bytes() -> None:
    entries = [entry for entry in compile_mapping("standard", {}).entries if entry.enabled]
    fields = {entry.key: 1962 if entry.data_type == "NUMERICAL" else "Somewhere 7" for entry in entries}
    assert len(fields) > 40
    assert unpack_fields(pack_fields(fields)) == fields
    assert len(pack_fields(fields)) < 200


def test_the_dictionary_knows_the_fields_that_are_usual() -> None:
    keys = [f'"{entry.key}"'.encode() for entry in compile_mapping("standard", {}).entries if entry.enabled]
    assert not [key for key in keys if key not in written._DICTIONARY]


def test_a_long_text_is_cut_and_too_much_leaves_the_names() -> None:
    [cut] = unpack_fields(pack_fields({"note": "ab" * 500})).values()
    assert (str(cut)[:3], str(cut)[-1], len(str(cut))) == ("aba", "…", 200)
    noise = {f"field_{number}": f"{number * 7919**9:x}" * 5 for number in range(200)}
    packed = pack_fields(noise)
    assert len(packed) <= PACKED_MAX
    assert unpack_fields(packed) == dict.fromkeys(noise)
    assert pack_fields({f"{number * 7919**9:x}": 1 for number in range(900)}) == b""


def test_tags_come_back() -> None:
    assert unpack_tags(pack_tags(("qualified", "DQ_X"), ("review",))) == Tags(("qualified", "DQ_X"), ("review",))


@pytest.mark.parametrize("broken", [None, b"", b"\x02abc", b"\x01\xff\xff", b'["equity_percent"]', pack_tags((), ())])
def test_what_cannot_be_read_tells_nothing(broken: bytes | None) -> None:
    assert unpack_fields(broken) in ({}, {"added": [], "removed": []})
    assert unpack_tags(broken) == Tags()
