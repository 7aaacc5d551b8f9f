"""The ids of jobs."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_job_id(now_ms: int) -> str:
    """Sorts by time, URL-safe: 9 characters of milliseconds, 7 random ones."""
    number = (now_ms << 35) | secrets.randbits(35)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(75, -1, -5))
