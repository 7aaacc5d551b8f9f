"""Times as people and programs are shown them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(ms: int) -> str:
    """Epoch milliseconds as ISO 8601, UTC, with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def span(seconds: float) -> str:
    """A duration in the largest unit that tells it well: `90 s`, `25 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
