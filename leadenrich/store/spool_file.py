"""The spool's file: whole records on disk, in order, whenever the process or the machine dies.

A header, then frames: length and CRC-32 of the payload (4 bytes each, little-endian), then the payload. A payload is a
record of the caller's (never empty, never beginning with "D"), or a mark: "D" and the offset up to which all is handed
on. A lost mark costs work, never a record. The flock on the file ends with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from zlib import crc32

HEADER: Final = b"leadenrich spool 1\n"
SPOOL_BYTES_MAX: Final = 64 * 1024 * 1024

_FRAME: Final = struct.Struct("<II")
FRAME_BYTES: Final = _FRAME.size  # what a record costs besides its payload
_MARK: Final = struct.Struct("<cQ")


class SpoolRefused(Exception):
    """This file cannot be the spool; the message says why."""


class SpoolFull(Exception):
    """Nothing of it was kept: the bound is reached, the disk is full, or it cannot be written."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a frame lies in the file."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds: `spans` of its records, those before `drained` handed on already, up to the last sound frame.

    `rotten` counts the bytes in between that are no sound frame.
    """

    spans: tuple[Span, ...]
    drained: int
    end: int
    rotten: int


def frame(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), crc32(payload)) + payload


def scan(data: bytes) -> Found:
    """Reads a file's bytes, header included. A damaged frame does not take the sound ones behind it along."""
    spans: list[Span] = []
    at = end = len(HEADER)
    drained = sound = 0
    while payload := _payload(data, at):
        size = _FRAME.size + len(payload)
        if _FRAME.unpack_from(data, at)[1] == crc32(payload):
            sound, end = sound + size, at + size
            if payload[:1] != b"D":
                spans.append(Span(at, size))
            elif len(payload) == _MARK.size:
                drained = max(drained, int(_MARK.unpack(payload)[1]))
        at += size
    return Found(tuple(spans), drained, end, end - len(HEADER) - sound)


def _payload(data: bytes, at: int) -> bytes:
    """What the frame at `at` says is its payload; empty where none fits: a torn one, or the zeros of a lost page."""
    if at + _FRAME.size > len(data):
        return b""
    size, _ = _FRAME.unpack_from(data, at)
    begin = at + _FRAME.size
    return data[begin : begin + size] if begin + size <= len(data) else b""


class SpoolFile:
    """Not for two threads at once. `cut` and `rotten` tell the bytes that were damaged when it was opened."""

    def __init__(self, path: Path, *, bytes_max: int = SPOOL_BYTES_MAX) -> None:
        """Opens the file, made if need be, and takes its lock. Raises: SpoolRefused."""
        self.path = path
        self.cut = self.rotten = 0
        self._bytes_max = bytes_max
        self._gone: list[Span] = []  # handed on, and still in the file
        self._spans: deque[Span] = deque()
        self._end = len(HEADER)
        self._torn = False  # bytes behind _end that no record may follow
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
            try:
                self._prepare()
            except BaseException:
                os.close(self._fd)
                raise
        except OSError as error:
            raise SpoolRefused(f"the spool {path} cannot be used: {error.strerror or error}") from error

    def __len__(self) -> int:
        """Records that are still to be handed on."""
        return len(self._spans)

    @property
    def size(self) -> int:
        """Bytes of the file, header included."""
        return self._end

    def room(self) -> int:
        """Bytes of frames that may still be appended."""
        return self._bytes_max - self._end

    def append(self, payloads: Sequence[bytes]) -> None:
        """All of them on disk, or none. Raises: SpoolFull."""
        frames = [frame(payload) for payload in payloads]
        data = b"".join(frames)
        if len(data) > self.room():
            raise SpoolFull(f"the spool holds its {self._bytes_max} bytes")
        try:
            self._write(data)
            os.fsync(self._fd)
        except OSError as error:
            self._cut_back()
            raise SpoolFull(f"the spool cannot be written: {error.strerror or error}") from error
        for whole in frames:
            self._spans.append(Span(self._end, len(whole)))
            self._end += len(whole)

    def all(self) -> list[bytes]:
        """The payloads of all records in the file, those first that are handed on already. Raises: OSError."""
        return self._read(self._gone) + self.head(len(self._spans))

    def head(self, most: int) -> list[bytes]:
        """The payloads of the oldest records that are still to be handed on. Raises: OSError."""
        return self._read(islice(self._spans, most))

    def forget(self, count: int) -> None:
        """The oldest `count` records are handed on. Not on disk when this returns: what is lost of it is work."""
        if count >= len(self._spans):
            self._end = len(HEADER)
            self._cut_back()
            self._gone.clear()
            self._spans.clear()
        else:
            mark = frame(_MARK.pack(b"D", self._spans[count].offset))
            if len(mark) <= self.room():
                try:
                    self._write(mark)
                    self._end += len(mark)
                except OSError:
                    self._cut_back()
            self._gone += [self._spans.popleft() for _ in range(count)]

    def close(self) -> None:
        os.close(self._fd)

    def _prepare(self) -> None:
        """Raises: SpoolRefused; OSError."""
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            raise SpoolRefused(f"the spool {self.path} is not a file")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpoolRefused(f"another leadenrich uses the spool {self.path}: give each its own") from None
        self._recover()
        os.fchmod(self._fd, 0o600)
        os.fsync(self._fd)
        self._sync_folder()

    def _recover(self) -> None:
        data = self._read_all()
        if not data.startswith(HEADER):
            # No record was ever kept behind a header that is not whole. Anything else is not ours to cut.
            if data not in (HEADER[: len(data)], bytes(len(data))) or len(data) > len(HEADER):
                raise SpoolRefused(f"{self.path} is not a spool of this version of leadenrich: name another file")
            os.pwrite(self._fd, HEADER, 0)
            data = HEADER
        found = scan(data)
        self._gone += [span for span in found.spans if span.offset < found.drained]
        self._spans += [span for span in found.spans if span.offset >= found.drained]
        if not self._spans:
            self._gone.clear()  # the file begins anew: they are not in it any more
        self._end = found.end if self._spans else len(HEADER)
        self.cut, self.rotten = len(data) - found.end, found.rotten
        os.ftruncate(self._fd, self._end)

    def _read(self, spans: Iterable[Span]) -> list[bytes]:
        return [os.pread(self._fd, span.size - FRAME_BYTES, span.offset + FRAME_BYTES) for span in spans]

    def _read_all(self) -> bytes:
        parts, at = [], 0
        while part := os.pread(self._fd, 1 << 20, at):
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def _sync_folder(self) -> None:
        """The file's name survives a power cut too."""
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write(self, data: bytes) -> None:
        if self._torn:
            os.ftruncate(self._fd, self._end)
            self._torn = False
        at, left = self._end, memoryview(data)
        while left:
            written = os.pwrite(self._fd, left, at)
            at, left = at + written, left[written:]

    def _cut_back(self) -> None:
        """Back to the last whole record; where even that fails, before the next one is written."""
        self._torn = True
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._end)
            self._torn = False
