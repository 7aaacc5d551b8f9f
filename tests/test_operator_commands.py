"""What an operator does at a shell while the daemon runs, or while it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redis_server import RedisServer


@pytest.fixture
def leadenrich(redis_server: RedisServer, tmp_path: Path):
    """Runs a command on a queue of its own; answers the finished process."""
    config = tmp_path / "config.toml"
    location = '[[ghl.locations]]\nid = "loc1"\ntoken = "t"\n'
    config.write_text(f'[redis]\nurl = "{redis_server.url}"\n[queue]\nname = "{tmp_path.name}"\n{location}')

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "leadenrich", *words, "--config", str(config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    return run


def test_a_provider_is_paused_seen_and_resumed(leadenrich) -> None:
    assert leadenrich("providers", "pause", "ghl:loc1", "--reason", "moving").returncode == 0
    shown = json.loads(leadenrich("providers", "list", "--json").stdout)
    assert shown["ghl:loc1"]["paused"] == "operator: moving"
    assert shown["realestateapi"]["paused"] is None
    assert "operator: moving" in leadenrich("providers", "list").stdout
    assert leadenrich("providers", "resume", "ghl:loc1").returncode == 0
    again = leadenrich("providers", "resume", "ghl:loc1")
    assert (again.returncode, "was not paused" in again.stderr) == (1, True)


def test_a_name_that_nobody_has_is_told_with_those_that_are(leadenrich) -> None:
    wrong = leadenrich("providers", "resume", "realestateap")
    assert wrong.returncode == 2
    assert "realestateapi" in wrong.stderr
    assert "ghl:loc1" in wrong.stderr


def test_the_queue_is_paused_seen_and_resumed(leadenrich) -> None:
    assert leadenrich("queue", "pause", "--reason", "clean-up").returncode == 0
    assert "PAUSED: clean-up" in leadenrich("queue", "status").stdout
    assert json.loads(leadenrich("queue", "status", "--json").stdout)["paused"] == "clean-up"
    assert leadenrich("queue", "resume").returncode == 0
    assert leadenrich("queue", "resume").returncode == 1
    assert "nothing waits" in leadenrich("queue", "status").stdout


def test_without_redis_the_command_says_where_it_looked(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[redis]\nurl = "redis://user:secret@127.0.0.1:1/0"\nconnect_timeout = 0.2\n')
    command = [sys.executable, "-m", "leadenrich", "queue", "status", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 69
    assert "127.0.0.1:1" in done.stderr
    assert "secret" not in done.stderr
