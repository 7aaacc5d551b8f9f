"""What an operator does at a shell while the daemon runs, or while it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis_server import RedisServer, free_port, running
from shell import Shell, Told


@pytest.fixture
def leadenrich(redis_server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Runs a command on a queue of its own."""
    config = tmp_path / "config.toml"
    location = '[[ghl.locations]]\nid = "loc1"\ntoken = "t"\n'
    config.write_text(f'[redis]\nurl = "{redis_server.url}"\n[queue]\nname = "{tmp_path.name}"\n{location}')
    return Shell(config, capsys).run


def test_a_provider_is_paused_seen_and_resumed(leadenrich) -> None:
    assert leadenrich("providers", "pause", "ghl:loc1", "--reason", "moving").status == 0
    shown = json.loads(leadenrich("providers", "list", "--json").out)
    assert shown["ghl:loc1"]["paused"] == "operator: moving"
    assert shown["realestateapi"]["paused"] is None
    assert "operator: moving" in leadenrich("providers", "list").out
    assert leadenrich("providers", "resume", "ghl:loc1").status == 0
    again = leadenrich("providers", "resume", "ghl:loc1")
    assert (again.status, "was not paused" in again.err) == (1, True)


def test_a_name_that_nobody_has_is_told_with_those_that_are(leadenrich) -> None:
    wrong = leadenrich("providers", "resume", "realestateap")
    assert wrong.status == 2
    assert "realestateapi" in wrong.err
    assert "ghl:loc1" in wrong.err


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_without_a_name_nobody_is_asked(action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is told at once, whether or not Redis is there."""
    (tmp_path / "config.toml").write_text(f'[redis]\nurl = "redis://127.0.0.1:{free_port()}/0"\n')
    done = Shell(tmp_path / "config.toml", capsys).run("providers", action)
    assert done.status == 2
    assert done.err == f"leadenrich: providers {action}: name the provider: realestateapi, or ghl:<location id>\n"


def test_the_queue_is_paused_seen_and_resumed(leadenrich) -> None:
    assert leadenrich("queue", "pause", "--reason", "clean-up").status == 0
    assert "PAUSED: clean-up" in leadenrich("queue", "status").out
    assert json.loads(leadenrich("queue", "status", "--json").out)["paused"] == "clean-up"
    assert leadenrich("queue", "resume").status == 0
    assert leadenrich("queue", "resume").status == 1
    assert "nothing waits" in leadenrich("queue", "status").out


def test_what_is_done_at_a_shell_is_in_the_audit_log(leadenrich, redis_server: RedisServer, tmp_path: Path) -> None:
    assert leadenrich("queue", "pause", "--reason", "clean-up").status == 0
    assert leadenrich("providers", "pause", "ghl:loc1").status == 0
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        kept = [fields for _, fields in client.xrange(f"le:{{{tmp_path.name}}}:audit")]
    assert [(row["role"], row["action"], row["target"], row["detail"]) for row in kept] == [
        ("cli", "pause", "queue", "clean-up"),
        ("cli", "pause", "provider:ghl:loc1", "paused by an operator"),
    ]
    assert all(row["name"] for row in kept)


def test_without_redis_the_command_says_where_it_looked(tmp_path: Path) -> None:
    """As a process, as an operator starts it."""
    config = '[redis]\nurl = "redis://user:secret@127.0.0.1:1/0"\nconnect_timeout = 0.2\n'
    (tmp_path / "config.toml").write_text(config)
    done = as_process(tmp_path, "queue", "status")
    assert done.status == 69
    assert "127.0.0.1:1" in done.err
    assert "secret" not in done.err


def as_process(folder: Path, *words: str) -> Told:
    command = [sys.executable, "-m", "leadenrich", *words, "--config", str(folder / "config.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return Told(done.returncode, done.stdout, done.stderr)


# --- a Redis that is there and refuses us ----------------------------------------------------------------------------

COMPLETE = """
[server]
port = 0
[realestateapi]
base_url = "http://127.0.0.1:1"
api_key = "k"
[ghl]
base_url = "http://127.0.0.1:1"
[[ghl.locations]]
id = "loc1"
token = "t"
[redis]
connect_timeout = 60.0
"""
COMMANDS = (["serve"], ["queue", "status"], ["providers", "list"], ["doctor"])


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory):
    """A Redis with a password, and a user who may hardly do anything."""
    options = ("--requirepass", "the-password", "--user", "poor", "on", ">the-password", "+ping")
    with running(tmp_path_factory.mktemp("locked"), *options) as server:
        yield server


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("userinfo", "database", "says"),
    [
        (":the-password@", 99, "DB index is out of range: end redis.url in a database that it has"),
        ("", 0, "Authentication required: put the password in front of the host in redis.url"),
        (":another-password@", 0, "invalid username-password pair or user is disabled: check user and password"),
        ("poor:the-password@", 0, "allow this user the commands that systemd/redis-leadenrich-acl.conf lists"),
    ],
    ids=["no such database", "no password", "wrong password", "no rights"],
)
def test_a_redis_that_refuses_us_is_told_with_the_way_out(
    words: list[str],
    userinfo: str,
    database: int,
    says: str,
    locked: RedisServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At once: no waiting makes it change its mind."""
    url = f"redis://{userinfo}127.0.0.1:{locked.port}/{database}"
    (tmp_path / "config.toml").write_text(f'{COMPLETE}url = "{url}"\n')
    daemon = words == ["serve"]
    done = as_process(tmp_path, *words) if daemon else Shell(tmp_path / "config.toml", capsys).run(*words)
    assert done.status == (1 if words == ["doctor"] else 69)
    output = done.out + done.err
    assert "Redis refuses: " in output
    assert says in output
    assert "Traceback" not in output
    assert "-password@" not in output
