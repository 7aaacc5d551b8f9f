"""Every example of every `--help`, done: on a real Redis, beside fake vendors and the daemon of the first example."""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import as_toml, settings_for
from leads import lead
from queue_desk import Desk
from redis_server import RedisServer
from shell import Shell

from leadenrich.cli.parser import build_parser
from leadenrich.config import QueueSettings
from leadenrich.core.job import Reason
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.foreground import Foreground
from leadenrich.store.queue import Submission
from leadenrich.store.switches import Switches

SHOWN, CANCELLED = "1m86y08bc0yk22dj", "1m86y0bap9955ntp"
CONTACT, LOCATION = "XvbqI0UKgMPJ7NLTezjX", "ve9EPM428h8vShlRW1KT"
SERVE, WATCH = "leadenrich serve", "leadenrich status --watch"  # they end when they are told to


def rows() -> dict[str, argparse.ArgumentParser]:
    [commands] = [it for it in build_parser()._actions if isinstance(it, argparse._SubParsersAction)]
    return dict(commands.choices)


def examples(row: argparse.ArgumentParser) -> list[str]:
    """As the help shows them."""
    found = re.search(r"^Examples?:\n((?:  .+\n?)+)", row.format_help(), re.MULTILINE)
    return [line.strip() for line in found[1].splitlines()] if found else []


EXAMPLES = [example for row in rows().values() for example in examples(row)]


@pytest.mark.parametrize("name", rows())
def test_every_command_and_each_of_its_actions_has_an_example(name: str) -> None:
    row = rows()[name]
    actions = [choice for it in row._actions if not it.option_strings and it.choices for choice in it.choices]
    told = examples(row)
    for start in [f"{name} {action}" for action in actions] or [name]:
        assert any(f"{line} ".startswith(f"leadenrich {start} ") for line in told), (
            f"--help shows no example of {start}"
        )
    assert all(line.startswith(f"leadenrich {name}") for line in told)
    assert "--config PATH" in row.format_help()


# --- what an example needs to be there, and what it must say ----------------------------------------------------------


def waiting(job_id: str) -> Callable[[Desk], Awaitable[None]]:
    async def act(desk: Desk) -> None:
        await Switches(desk.connection, desk.keys).pause_queue("for a test")
        await desk.queue.submit(Submission(lead(job_id, location_id=LOCATION), job_id=job_id))

    return act


def failed(contact: str, reason: Reason) -> Callable[[Desk], Awaitable[None]]:
    async def act(desk: Desk) -> None:
        """Nobody else can take it: it is held from its first moment."""
        foreground = Foreground(desk.connection, desk.queue, QueueSettings())
        claim = await foreground.begin(lead(contact, location_id=LOCATION), now_ms=time.time_ns() // 1_000_000)
        await desk.bury(claim, reason)

    return act


async def a_pause(desk: Desk) -> None:
    switches = Switches(desk.connection, desk.keys)
    await switches.pause_queue("for a test")
    await switches.pause_provider("realestateapi", "operator", "for a test")


NEEDS: dict[str, Callable[[Desk], Awaitable[None]]] = {
    "jobs show": waiting(SHOWN),
    "jobs cancel": waiting(CANCELLED),
    "jobs list": failed(CONTACT, Reason.BAD_ADDRESS),
    "jobs retry": failed("another", Reason.ATTEMPTS_EXHAUSTED),
    "erase": failed(CONTACT, Reason.BAD_ADDRESS),
    "queue resume": a_pause,
    "providers resume": a_pause,
}
SAYS = {
    "jobs show": SHOWN,
    "jobs cancel": "1 cancelled",
    "jobs list": CONTACT,
    "jobs retry": "1 run again",
    "erase": "Erased:",
    "setup": "47 fields are there, 0 to create",
    "enrich": "verdict   QUALIFIED",
    "import": "1 row would be queued",
    "backfill": "1 contact would be queued",
    "demo": "10 leads",
    "check": "queue.attempts",
    "doctor": "append-only",
}


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, example_vendors: Sandbox
) -> Iterator[Path]:
    """A configuration and a file to import, and the daemon on it."""
    folder = tmp_path_factory.mktemp("examples")
    settings = settings_for(example_vendors, redis_server.url, queue={"name": folder.name})
    (folder / "config.toml").write_text(as_toml(settings))
    (folder / "leads.csv").write_text("Id,Street,City,State,Zip\nc1,742 Evergreen Ter,Springfield,IL,62704\n")
    [serve] = [example for example in EXAMPLES if example.startswith(SERVE)]
    daemon = started(serve, folder)
    try:
        assert any('"event":"ready"' in line for line in daemon.stderr or []), "it ended before it was ready"
        yield folder
        assert daemon.poll() is None, "it served until the last example"
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=10)
        assert daemon.returncode == 0
    finally:
        daemon.kill()
        daemon.communicate()


def started(example: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *shlex.split(example), "--config", str(folder / "config.toml")]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def beside(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(folder)
    shell = Shell(folder / "config.toml", capsys)
    yield shell

    async def go_on(desk: Desk) -> None:
        switches = Switches(desk.connection, desk.keys)
        await switches.resume_queue()
        for name in [name for name in await switches.all() if name]:
            await switches.resume_provider(name, why="the test is over")

    shell.desk(go_on)


@pytest.mark.parametrize("example", [line for line in EXAMPLES if not line.startswith((SERVE, WATCH))])
def test_every_example_works(example: str, beside: Shell) -> None:
    """The shell's part, where the output goes, is left out; so is a configuration's place, which is another here."""
    words = shlex.split(example.partition(" > ")[0])[1:]
    kind = next((name for name in (*NEEDS, *SAYS) if f"{' '.join(words)} ".startswith(f"{name} ")), "")
    if kind in NEEDS:
        beside.desk(NEEDS[kind])
    told = beside.done(*words)
    assert SAYS.get(kind, "") in told.out
    assert told.out
    assert "Traceback" not in told.err


def test_the_example_that_watches_works_beside_the_one_that_serves(folder: Path) -> None:
    with started(WATCH, folder) as watching:
        assert watching.stdout is not None
        line = watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=10)
    assert (watching.returncode, errors) == (0, "")
    assert re.search(r"; 1 daemon\b", line)
