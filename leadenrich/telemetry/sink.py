"""Where log lines go. A closed, full or stuck stderr costs lines, never the daemon."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Final, TextIO

_CHUNK_BYTES: Final = 4096  # PIPE_BUF of Linux: what a pipe that is ready takes without blocking
_PATIENCE_S: Final = 0.2  # how long one line may wait for a reader; the event loop waits along


class Sink:
    """Writes whole lines to a stream. `dropped` counts the lines that could not be written.

    A blocking pipe whose reader stopped would stop the event loop, and with it every lease: so each write asks first
    whether there is room. Once a line was given up, the next ones do not wait at all until there is room again.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.dropped = 0
        self._stream = stream
        self._fd = _descriptor(stream)
        self._poll = select.poll()
        if self._fd is not None:
            self._poll.register(self._fd, select.POLLOUT)
        self._lock = threading.Lock()
        self._stuck = False
        self._torn = False  # the last line ended in its middle

    def write(self, line: str) -> bool:
        """Write one line, its line break included. False when it, or its rest, was lost."""
        with self._lock:
            try:
                done = self._to_stream(line) if self._fd is None else self._to_descriptor(self._fd, line)
            except (OSError, ValueError):  # closed, full disk, reader gone; a closed file object says ValueError
                done = False
            if not done:
                self.dropped += 1
            return done

    def _to_stream(self, line: str) -> bool:
        if self._stream is None:  # sys.stderr of a process that was started without one
            return False
        self._stream.write(line)
        self._stream.flush()
        return True

    def _to_descriptor(self, fd: int, line: str) -> bool:
        whole = line.encode("ascii", "backslashreplace")
        data = memoryview(b"\n" + whole if self._torn else whole)
        deadline = time.monotonic() + (0 if self._stuck else _PATIENCE_S)
        started = False
        while data:
            if not self._has_room(deadline):
                self._stuck = True
                self._torn = self._torn or started
                return False
            try:
                data = data[os.write(fd, data[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                continue
            started = True
            self._torn = False
        self._stuck = False
        return True

    def _has_room(self, deadline: float) -> bool:
        """Whether the descriptor takes a chunk now, or does before the deadline (monotonic clock)."""
        ready = self._poll.poll(0) or self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if ready and ready[0][1] & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
            raise BrokenPipeError
        return bool(ready)


def _descriptor(stream: TextIO | None) -> int | None:
    """The stream's file descriptor; None where it has none (a buffer in memory) or is closed already."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None
