"""The events stream: what happened to jobs and providers, told by the scripts that made it happen.

An entry of the stream holds up to eight events of one script call; each field is one of them, its value is
`event<TAB>job<TAB>contact<TAB>location<TAB>lane<TAB>attempt<TAB>detail`. An event's id is the entry's id and its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec


class StoredEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event. `id` sorts by time: `<ms>-<n>.<place>`. `detail` is a JSON object, "" where there is none."""

    id: str
    event: str
    job: str = ""
    contact: str = ""
    location: str = ""
    lane: str = ""
    attempt: int = 0
    detail: str = ""


def events_of(entry_id: bytes, fields: Mapping[bytes, bytes] | Sequence[bytes]) -> Iterator[StoredEvent]:
    """The events of one entry, as XRANGE and XREAD give it: names and values in turn, or as a dict."""
    values = fields.values() if isinstance(fields, Mapping) else fields[1::2]
    for place, value in enumerate(values):
        event, job, contact, location, lane, attempt, detail = value.decode().split("\t", 6)
        yield StoredEvent(
            f"{entry_id.decode()}.{place}", event, job, contact, location, lane, int(attempt), detail
        )  # fmt: skip
