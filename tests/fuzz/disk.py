"""The spool's file, as a dying disk or another hand leaves it."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import msgspec

from fuzz.target import SEPARATOR, joined, target
from leadenrich.core.job import Lane
from leadenrich.core.lead import Lead
from leadenrich.store.queue import Submission
from leadenrich.store.spool import Record, Spool
from leadenrich.store.spool_file import HEADER, SpoolFile, SpoolRefused, frame, scan

RECORD = msgspec.json.encode(
    Record(1, Submission(Lead(location_id="l", contact_id="c", kind="create"), Lane.LIVE, "k", 60.0, job_id="j"))
)
MARK = b"D" + len(HEADER).to_bytes(8, "little")


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    memory = Path("/dev/shm")  # an fsync of memory costs nothing
    return tempfile.TemporaryDirectory(prefix="leadenrich-fuzz-", dir=memory if memory.is_dir() else None)


def _opened(data: bytes) -> None:
    """What was sound is still there when the file is opened again."""
    path = Path(_folder().name) / "spool"
    path.write_bytes(data)
    file = SpoolFile(path)
    try:
        whole = file.all()
        assert all(whole)  # no record is empty
        Spool(file).stop()
        file.append([RECORD])
    finally:
        file.close()
    again = SpoolFile(path)
    try:
        assert again.all() == [*whole, RECORD]
    finally:
        again.close()


@target(
    SpoolRefused, samples=[HEADER, HEADER + frame(RECORD) * 3 + frame(MARK), HEADER + frame(RECORD) + b"\0" * 30, b""]
)
def spool_file(data: bytes) -> None:
    """Any file is a spool, as far as it is whole, or refused."""
    if data.startswith(HEADER):
        scan(data)
    _opened(data)


@target(SpoolRefused, samples=[joined(RECORD, MARK, RECORD), RECORD, MARK], words="D at_ms submission lead job_id")
def spool_records(data: bytes) -> None:
    """The same with checksums that are right: what another version, or our own fault, wrote."""
    _opened(HEADER + b"".join(frame(payload) for payload in data.split(SEPARATOR) if payload))
