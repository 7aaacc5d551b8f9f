"""`leadenrich status`: the daemons, the queue, the vendors and the last failures, once or second by second."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from queue_desk import Desk
from redis_server import free_port
from shell import Shell

from leadenrich.core.job import JobState, Lane, Reason
from leadenrich.store.boots import Boots
from leadenrich.store.switches import Switches


async def some_life(desk: Desk) -> None:
    """A daemon that beats, one that is silent, a job at work, one that waits, one that failed, a pause."""
    await Boots(desk.connection, desk.keys).announce(desk.queue.owner)
    await desk.new("failed")
    await desk.bury(await desk.one(), Reason.ATTEMPTS_EXHAUSTED)
    await desk.new("at-work")
    claim = await desk.one()
    await desk.new("waits", lane=Lane.BULK)
    await desk.queue.extend([claim], "host-one")
    await desk.connection.execute("HSET", desk.keys.workers, "beat:long-gone:8080", f"{1_000_000}|host-two")
    silent_ms = await desk.time_ms() - 60_000
    await desk.connection.execute("HSET", desk.keys.workers, "beat:silent:8080", f"{silent_ms}|host-three")
    await Switches(desk.connection, desk.keys).pause_provider("ghl:loc1", "operator", "moving")


class Ready(BaseHTTPRequestHandler):
    """A daemon's /readyz: the web half is well, the worker half is not."""

    def do_GET(self) -> None:
        told = {
            "title": "Service Unavailable", "ready": False, "web": {"ready": True, "problems": {}},
            "worker": {"ready": False, "problems": {"redis": "away"}}, "notes": {"spool": "3 leads wait on the disk"},
        }  # fmt: skip
        body = json.dumps(told).encode()
        self.send_response(503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *told: object) -> None: ...


@pytest.fixture
def answering(shell: Shell) -> Iterator[Shell]:
    server = HTTPServer(("127.0.0.1", 0), Ready)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    shell.config.write_text(f"{shell.config.read_text()}[server]\nport = {server.server_port}\n")
    yield shell
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def alone(shell: Shell) -> Shell:
    """Nobody answers at the configured address."""
    shell.config.write_text(f"{shell.config.read_text()}[server]\nport = {free_port()}\n")
    return shell


def test_all_of_it_at_a_glance(answering: Shell) -> None:
    answering.desk(some_life)
    told = answering.done("status").out
    lines = {line.split()[0]: " ".join(line.split()) for line in told.splitlines() if line.strip()}
    assert lines["w1"].startswith("w1 host-one ")
    assert lines["w1"].endswith(" s ago alive")
    assert lines["silent:8080"].endswith("silent")
    assert "long-gone" not in told
    assert lines["live"] == "live 0 1 0 0 1"
    assert lines["bulk"].startswith("bulk 1 0 0 0 0 ")
    assert lines["ended:"] == "ended: 1 in the last minute, 1 in the last hour"
    assert lines["ghl:loc1"] == "ghl:loc1 paused, operator: moving 10"
    assert lines["realestateapi"].startswith("realestateapi go 10 ")
    assert "attempts_exhausted failed " in " ".join(told.split())
    assert "/readyz: not ready" in told
    assert "worker: redis: away" in told
    assert "spool: 3 leads wait on the disk" in told


@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_narrow_terminal_names_and_ids_stay_whole(
    alone: Shell, terminal: Callable[[int], None], columns: int
) -> None:
    alone.desk(some_life)
    terminal(columns)
    told = alone.done("status").out
    assert max(map(len, told.splitlines())) <= columns
    words = set(told.split())
    assert words >= {state.value for state in JobState}
    [failure] = json.loads(alone.done("status", "--json").out)["failures"]
    assert failure["job_id"] in words
    assert "ghl:loc1" in words


def test_a_pipe_gets_no_blanks_at_the_ends_of_lines(answering: Shell) -> None:
    answering.desk(some_life)
    told = answering.done("status")
    assert len(told.lines) > 12
    assert [line for line in told.lines if line != line.rstrip()] == []


def test_as_json(alone: Shell) -> None:
    alone.desk(some_life)
    told = json.loads(alone.done("status", "--json").out)
    assert [(it["name"], it["host"]) for it in told["daemons"]] == [
        ("w1", "host-one"), ("silent:8080", "host-three"), ("long-gone:8080", "host-two")
    ]  # fmt: skip
    assert len(told["daemons"][0]["boot"]) == 8
    assert told["stats"]["lanes"]["live"]["PROCESSING"] == 1
    assert set(told["oldest_waiting_seconds"]) == {"bulk"}
    assert told["readyz"]["url"] is None
    assert [it["contact_id"] for it in told["failures"]] == ["failed"]


def test_the_last_failures_are_none_that_a_person_cancelled(alone: Shell) -> None:
    """They hid the one that somebody should look after."""

    async def a_failure_and_many_cancelled(desk: Desk) -> None:
        await some_life(desk)
        for number in range(6):
            await desk.queue.cancel(await desk.new(f"cancelled{number}"), by="Ada")

    alone.desk(a_failure_and_many_cancelled)
    told = json.loads(alone.done("status", "--json").out)
    assert [it["contact_id"] for it in told["failures"]] == ["failed"]


def test_without_a_daemon_it_says_so_and_is_1(alone: Shell) -> None:
    told = alone.run("status")
    assert told.status == 1
    assert "no daemon works on this queue" in told.out
    assert "no daemon answers at server.host and server.port" in told.out


def test_with_watch_it_looks_each_second_and_ends_cleanly(alone: Shell) -> None:
    """On a pipe; Ctrl-C is its regular end."""
    command = [sys.executable, "-m", "leadenrich", "status", "--watch", "--config", str(alone.config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert all("live 0 waiting, 0 at work, 0 to retry; bulk 0 waiting" in line for line in lines)
    assert lines[0][:19] != lines[1][:19], "a second lies between them"


def test_on_a_terminal_it_has_a_screen_of_its_own_and_gives_it_back(alone: Shell) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = [sys.executable, "-m", "leadenrich", "status", "--watch", "--config", str(alone.config)]
    environ = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"}
    screen, sent = b"", False
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        while True:
            try:
                screen += os.read(ours, 65_536)
            except OSError:  # the other side closed: how a terminal ends
                break
            if not sent and b"provider" in screen:
                process.send_signal(signal.SIGINT)
                sent = True
        assert process.wait() == 0
    os.close(ours)
    assert screen.count(b"\x1b[?1049h") == screen.count(b"\x1b[?1049l") == 1
    assert screen.rstrip().endswith(b"\x1b[?1049l")
    assert b"no daemon works on this queue" in screen
    assert b"Traceback" not in screen
    assert b"\x1b[3" not in screen, "NO_COLOR"
