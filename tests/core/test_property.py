"""A provider's answer outlives the process as JSON."""

from __future__ import annotations

import msgspec
import pytest

from leadenrich.core.property import BadAddress, Found, LookupAnswer, NoMatch, decode_answer, encode_answer


@pytest.mark.parametrize(
    "answer",
    [
        Found({"data": {"id": 190000001, "lastSalePrice": "168000", "equity": None, "mls": [{"a": 1.5}]}}, "190000001"),
        Found({"data": {}}, "", live=False),
        NoMatch("Street is not similar to found properties"),
        BadAddress("zip must be 5 digits"),
    ],
)
def test_an_answer_is_read_back_as_it_was(answer: LookupAnswer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


@pytest.mark.parametrize("stored", [b"", b"{}", b'{"kind":"other"}', b'{"kind":"found"}'])
def test_what_was_not_written_so_is_refused(stored: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_answer(stored)
