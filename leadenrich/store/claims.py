"""A claimed job and its checkpoints, out of what the scripts answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leadenrich.core.job import Claim, Lane, StepRecord
from leadenrich.core.lead import Lead
from leadenrich.store.payload import Unreadable, unpack


def claim_of(job: Sequence[Any]) -> Claim:
    """A job as claim.lua gives it."""
    job_id, token, lane, location, contact, tries, most, stalls, alone, probe, created, rerun, payload, steps = job
    return Claim(
        job_id=job_id.decode(),
        token=token.decode(),
        lane=Lane(lane.decode()),
        location_id=location.decode(),
        contact_id=contact.decode(),
        attempt=int(tries),
        max_attempts=int(most),
        stalled_count=int(stalls),
        alone=alone == b"1",
        probe=probe == b"1",
        created_ms=int(created),
        lead=_lead(payload, location.decode(), contact.decode()),
        steps=steps_of(dict(zip(steps[::2], steps[1::2], strict=True))),
        rerun=rerun == b"1",
    )


def _lead(payload: bytes, location_id: str, contact_id: str) -> Lead:
    """A payload that cannot be read any more (or whose retention is over) still names its contact."""
    try:
        return unpack(payload)
    except Unreadable:
        return Lead(location_id=location_id, contact_id=contact_id, kind="api")


def steps_of(fields: Mapping[bytes, bytes]) -> dict[str, StepRecord]:
    """Checkpoints as checkpoint.lua keeps them."""
    steps = {}
    for field_name, value in fields.items():
        name = field_name.decode()
        if ":" in name:
            continue
        started, ended, cached, credits, unknown = value.decode().split("|")
        steps[name] = StepRecord(
            name, int(started), int(ended) if ended else None, cached == "1", int(credits),
            fields.get(f"{name}:result".encode()), int(unknown), fields.get(f"{name}:token".encode(), b"").decode(),
        )  # fmt: skip
    return steps
