"""A name belongs to one live daemon; a killed one gives it back at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leadenrich.worker.identity import NameTaken, default_name, hold_name

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from leadenrich.worker.identity import hold_name
with hold_name("w1", "redis://x", "q"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}:/nowhere")
    return tmp_path


def test_a_second_daemon_of_one_name_is_refused() -> None:
    with hold_name("w1", "redis://x", "q"):
        with pytest.raises(NameTaken, match=r'"w1".*worker\.name'), hold_name("w1", "redis://x", "q"):
            pass
        with hold_name("w2", "redis://x", "q"), hold_name("w1", "redis://y", "q"), hold_name("w1", "redis://x", "r"):
            pass
    with hold_name("w1", "redis://x", "q"):
        pass


def test_a_killed_daemons_name_is_free_at_once() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(NameTaken), hold_name("w1", "redis://x", "q"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with hold_name("w1", "redis://x", "q"):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_the_lock_tells_nothing_and_is_ours_alone(folder: Path) -> None:
    with hold_name("w1", "redis://:secret@x", "q"):
        [lock] = folder.iterdir()
    assert lock.stat().st_mode & 0o777 == 0o600
    assert "secret" not in lock.name
    assert lock.read_bytes() == b""


def test_the_default_name_is_the_hosts_and_the_ports() -> None:
    assert default_name(8080).endswith(":8080")
