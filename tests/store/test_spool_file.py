"""The spool's file: what was kept is there again, whatever happened to the bytes behind it."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from leadenrich.store.spool_file import FRAME_BYTES, HEADER, SpoolFile, SpoolFull, SpoolRefused, frame, scan

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40).map(lambda body: b"{" + body), max_size=6)
AGAIN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder where an fsync costs nothing, for tests that make hundreds of them."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)


@contextmanager
def opened(path: Path, **more: int) -> Iterator[SpoolFile]:
    file = SpoolFile(path, **more)
    try:
        yield file
    finally:
        file.close()


def held(path: Path) -> list[bytes]:
    with opened(path) as file:
        return file.head(len(file))


def written(path: Path, payloads: list[bytes]) -> bytes:
    """A new file with these records; its bytes."""
    path.unlink(missing_ok=True)
    with opened(path) as file:
        if payloads:
            file.append(payloads)
    return path.read_bytes()


# --- damage ----------------------------------------------------------------------------------------------------------


@AGAIN
@given(PAYLOADS)
def test_torn_at_any_byte_the_whole_records_stay(memory: Path, payloads: list[bytes]) -> None:
    data, path = written(memory / "spool", payloads), memory / "torn"
    ends = [len(HEADER)]
    for payload in payloads:
        ends.append(ends[-1] + FRAME_BYTES + len(payload))
    assert ends[-1] == len(data)
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends[1:])
        with opened(path) as file:
            assert file.head(10) == payloads[:whole]
            assert file.cut == (cut - ends[whole] if cut >= len(HEADER) else 0)
            file.append([b"{next}"])
        assert held(path) == [*payloads[:whole], b"{next}"]


@AGAIN
@given(PAYLOADS, st.one_of(st.binary(max_size=200), st.integers(0, 9000).map(bytes)))
def test_garbage_behind_the_records_is_cut_off(memory: Path, payloads: list[bytes], garbage: bytes) -> None:
    """Also the zeros that a power cut leaves where a page was not written."""
    path = memory / "spool"
    data = written(path, payloads)
    path.write_bytes(data + garbage)
    with opened(path) as file:
        assert file.head(10) == payloads
        assert file.cut == len(garbage)
    assert path.read_bytes() == data


@AGAIN
@given(PAYLOADS.filter(bool), st.data())
def test_a_record_that_rotted_takes_no_other_along(memory: Path, payloads: list[bytes], data: st.DataObject) -> None:
    path = memory / "spool"
    raw = bytearray(written(path, payloads))
    index = data.draw(st.integers(0, len(payloads) - 1))
    begin = len(HEADER) + sum(FRAME_BYTES + len(payload) for payload in payloads[:index]) + FRAME_BYTES
    at = data.draw(st.integers(begin, begin + len(payloads[index]) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    with opened(path) as file:
        assert file.head(10) == [*payloads[:index], *payloads[index + 1 :]]
        assert file.cut + file.rotten == FRAME_BYTES + len(payloads[index])


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_stumble(noise: bytes) -> None:
    found = scan(HEADER + noise)
    assert len(HEADER) <= found.end <= len(HEADER) + len(noise)


# --- order and what was handed on -------------------------------------------------------------------------------------


@AGAIN
@given(st.lists(st.one_of(st.integers(1, 4), st.just(0), st.integers(-4, -1)), max_size=20))
def test_what_is_kept_comes_out_once_and_in_order(memory: Path, steps: list[int]) -> None:
    """Positive: append so many; negative: hand so many on; zero: die and start again."""
    path = memory / "spool"
    path.unlink(missing_ok=True)
    file, waiting, made = SpoolFile(path), list[bytes](), 0
    for step in steps:
        if step > 0:
            fresh = [b"{%d}" % number for number in range(made, made + step)]
            made += step
            file.append(fresh)
            waiting += fresh
        elif step < 0:
            assert file.head(-step) == waiting[:-step]
            file.forget(-step)
            del waiting[:-step]
        else:
            file.close()
            file = SpoolFile(path)
        assert (file.head(100), len(file)) == (waiting, len(waiting))
        assert file.size == path.stat().st_size
    file.close()


def test_an_empty_spool_takes_no_room(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    with opened(path) as file:
        file.append([b"{1}", b"{2}"])
        file.forget(2)
    assert path.read_bytes() == HEADER


def test_a_lost_mark_costs_work_and_no_record(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    data = written(path, [b"{1}", b"{2}"])
    with opened(path) as file:
        file.forget(1)
    assert held(path) == [b"{2}"]
    path.write_bytes(data)
    assert held(path) == [b"{1}", b"{2}"]


# --- bounds and disks -------------------------------------------------------------------------------------------------


def test_its_size_is_bounded(tmp_path: Path) -> None:
    path, record = tmp_path / "spool", b"{" + b"x" * 99
    with opened(path, bytes_max=len(HEADER) + 3 * len(frame(record))) as file:
        file.append([record] * 2)
        with pytest.raises(SpoolFull):
            file.append([record] * 2)
        file.append([record])
        assert file.room() == 0
        file.forget(1)  # no room for the mark: only work is lost
        assert len(file) == 2
        file.forget(2)
        file.append([record])
    assert held(path) == [record]


FULL_DISK = """
import resource, sys
from pathlib import Path
from leadenrich.store.spool_file import SpoolFile, SpoolFull

path = Path(sys.argv[1])
file = SpoolFile(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
kept = 0
try:
    while True:
        file.append([b"{%d" % kept + b"x" * 90])
        kept += 1
except SpoolFull as error:
    assert "cannot be written" in str(error), error
assert path.stat().st_size == file.size <= 1000, "what was torn is still there"
file.append([b"{small}"])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.append([b"{large" + b"x" * 5000])
print(kept)
"""


def test_a_write_that_the_system_cuts_short_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    told = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    kept = int(told.stdout)
    assert kept == (1000 - len(HEADER)) // (FRAME_BYTES + 92)
    records = held(path)
    assert [record[:2] for record in records[:kept]] == [b"{%d" % number for number in range(kept)]
    assert [record[:6] for record in records[kept:]] == [b"{small", b"{large"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a file system of its own")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_gets_over_it(small_disk: Path) -> None:
    path, ballast = small_disk / "spool", small_disk / "ballast"
    with opened(path) as file:
        file.append([b"{first}"])
        ballast.write_bytes(bytes(200 * 1024))
        fill = itertools.repeat([b"{" + b"x" * 1000], 200)
        with pytest.raises(SpoolFull, match="No space left on device"):
            deque(map(file.append, fill), maxlen=0)
        kept = len(file)
        assert 1 < kept < 60
        assert path.stat().st_size == file.size
        ballast.unlink()
        file.append([b"{last}"])
    records = held(path)
    assert (len(records), records[0], records[-1]) == (kept + 1, b"{first}", b"{last}")


# --- whose file it is -------------------------------------------------------------------------------------------------


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_daemons_never_share_one(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    with opened(path), pytest.raises(SpoolRefused, match="another leadenrich uses the spool"):
        SpoolFile(path)
    with opened(path):
        pass


@pytest.mark.parametrize(
    "content", [b"root:x:0:0:root:/root:/bin/bash\n", b"leadenrich spool 2\nmore", b"{}", bytes(99)]
)
def test_a_file_that_is_no_spool_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "passwd"
    path.write_bytes(content)
    with pytest.raises(SpoolRefused, match="is not a spool"):
        SpoolFile(path)
    assert path.read_bytes() == content


def test_a_path_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SpoolRefused, match="Is a directory"):
        SpoolFile(tmp_path)
    with pytest.raises(SpoolRefused, match="No such file or directory"):
        SpoolFile(tmp_path / "nowhere" / "spool")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpoolRefused, match="is not a file"):
        SpoolFile(tmp_path / "pipe")
