"""The ids of jobs: the time first, to the millisecond, then chance."""

from __future__ import annotations

import pytest

from leadenrich.store.job_id import new_job_id

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def number_of(text: str) -> int:
    number = 0
    for letter in text:
        number = number * 32 + ALPHABET.index(letter)
    return number


@pytest.mark.parametrize("now_ms", [0, 1, 1_795_435_200_000, 2**45 - 1])
def test_an_id_begins_with_its_time_whatever_chance_adds(now_ms: int) -> None:
    """Were there one bit of chance more, half of the ids would stand a millisecond late."""
    ids = [new_job_id(now_ms) for _ in range(60)]
    assert {number_of(job_id[:9]) for job_id in ids} == {now_ms}
    assert {len(job_id) for job_id in ids} == {16}


def test_ids_of_one_millisecond_differ_in_all_that_is_left() -> None:
    ids = [new_job_id(1) for _ in range(2_000)]
    assert len(set(ids)) == len(ids)
    for place in range(9, 16):
        assert {job_id[place] for job_id in ids} == set(ALPHABET)
