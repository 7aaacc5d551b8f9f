"""Times as people and programs are shown them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(ms: int) -> str:
    """Epoch milliseconds as ISO 8601, UTC, with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
