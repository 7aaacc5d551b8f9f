"""Writing a line may cost the line, never the daemon."""

from __future__ import annotations

import errno
import io
import os
import time

from leadenrich.telemetry.sink import Sink


def test_a_closed_stream_costs_lines_only() -> None:
    buffer = io.StringIO()
    memory = Sink(buffer)
    buffer.close()
    assert not memory.write("lost\n")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        gone = Sink(stream)
        assert not gone.write("lost\n")
    assert not gone.write("lost\n")  # closed on our side too
    assert (memory.dropped, gone.dropped) == (1, 2)


def test_a_full_disk_costs_lines_only() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        assert not Sink(full).write("lost\n")

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "no space")

    assert not Sink(Full()).write("lost\n")


def test_a_reader_that_stops_does_not_stop_us() -> None:
    """A blocking pipe nobody reads: one line waits a little, the next not at all; then lines are whole again."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream, os.fdopen(read, "rb", buffering=0) as reader:
        sink = Sink(stream)
        line = "x" * 4000 + "\n"
        while sink.write(line):
            pass
        began = time.monotonic()
        for _ in range(1000):
            sink.write(line)
        assert time.monotonic() - began < 2
        assert sink.dropped == 1001
        os.set_blocking(reader.fileno(), False)
        while reader.read(1_000_000):
            pass
        assert sink.write("after\n")
        assert reader.read(100) == b"after\n"


def test_a_line_cut_in_its_middle_does_not_spoil_the_next() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream, os.fdopen(read, "rb", buffering=0) as reader:
        sink = Sink(stream)
        assert not sink.write("x" * 1_000_000 + "\n")  # larger than any pipe: torn
        os.set_blocking(reader.fileno(), False)
        while reader.read(1_000_000):
            pass
        sink.write("after\n")
        assert reader.read(100) == b"\nafter\n"


def test_long_lines_arrive_whole() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream, os.fdopen(read, "rb") as reader:
        assert Sink(stream).write("é" * 5000 + "\n")
        assert reader.readline() == b"\\xe9" * 5000 + b"\n"


def test_a_process_without_stderr_goes_on() -> None:
    """Under some supervisors sys.stderr is None."""
    assert not Sink(None).write("lost\n")
