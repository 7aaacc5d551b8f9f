"""The ids of jobs."""

from __future__ import annotations

import random

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_CHARS = 9  # of an id: they tell the millisecond
# Seeded by the system once: an id opens nothing, and to ask the system for each took a twentieth of a webhook's time.
_RANDOM = random.Random()  # noqa: S311 - a name, not a secret
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]


def new_job_id(now_ms: int) -> str:
    """Sorts by time, URL-safe: 9 characters of milliseconds, 7 random ones."""
    number = (now_ms << 35) | _RANDOM.getrandbits(35)
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in (70, 60, 50, 40, 30, 20, 10, 0)])


def created_ms(job_id: str) -> int:
    """When the job of one of our ids came in, epoch milliseconds."""
    number = 0
    for char in job_id[:TIME_CHARS]:
        number = number << 5 | _ALPHABET.index(char)
    return number
