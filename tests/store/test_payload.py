"""A lead as Redis keeps it."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from lead_dictionary import made_lead
from leads import lead

from leadenrich.core.lead import Lead, PostalAddress
from leadenrich.store.payload import Unreadable, pack, unpack

LEAVES_ROOM = 0.55  # of its JSON; on leads of other people than the dictionary was made of


def test_what_is_packed_comes_back() -> None:
    for told in (lead(), Lead(location_id="l", contact_id="c", kind="api"), made_lead(Random(2))):
        assert unpack(pack(told)) == told


def test_a_stranger_s_lead_takes_about_half_of_its_bytes() -> None:
    stranger = Lead(
        location_id="ve9EPM428h8vShlRW1KT", contact_id="nmFmQEsNgz6AVpgLV7yc", kind="workflow",
        address=PostalAddress("1842 SW 27th Avenue, Unit 4B", "Coeur d'Alene", "ID", "83814", "US"),
        first_name="Magdalena", last_name="Quintero-Alvarez", email="magdalena.quintero@example.com",
        phone="+13055550142", tags=("absentee owner", "q4-2026", "zebra"),
        custom_fields={"MgobCB14YMVKuE4Ka8p1": "$410,000"},
    )  # fmt: skip
    assert len(pack(stranger)) < LEAVES_ROOM * len(msgspec.json.encode(stranger))


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"contact_id":"c"}', pack(lead())[:-3], b"\x28\xb5\x2f\xfd\x00"])
def test_what_is_no_payload_is_refused_in_words(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        unpack(payload)
