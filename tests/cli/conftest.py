"""Commands on a queue of their own, and the fake vendors they call."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemon_process import as_toml, new_sandbox, people, settings_for
from redis_server import RedisServer
from shell import Shell

from leadenrich.sandbox.server import Sandbox


@pytest.fixture
def shell(
    redis_server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """With one location, a lease of a second, and no terminal."""
    for name in ("LEADENRICH_CONFIG", "LEADENRICH_REDIS__URL"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config.toml"
    path.write_text(
        f'[redis]\nurl = "{redis_server.url}"\n[queue]\nname = "{tmp_path.name[-60:]}"\nlease = 1.0\n'
        '[[ghl.locations]]\nid = "loc1"\ntoken = "t"\n'
    )
    return Shell(path, capsys)


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes stdout a terminal without colours, so many columns wide."""

    def make(columns: int) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        for name, value in {"COLUMNS": str(columns), "LINES": "50", "TERM": "dumb"}.items():
            monkeypatch.setenv(name, value)

    return make


@contextmanager
def served(sandbox: Sandbox) -> Iterator[Sandbox]:
    """By a loop of its own: a command has one too."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(sandbox.__aenter__(), loop).result(10)
        yield sandbox
        asyncio.run_coroutine_threadsafe(sandbox.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="package")
def vendors() -> Iterator[Sandbox]:
    """The demo's leads. Who orders faults clears them."""
    with served(new_sandbox(leads=None)) as sandbox:
        yield sandbox


@pytest.fixture(scope="package")
def example_vendors() -> Iterator[Sandbox]:
    """The location that the examples name, with all fields and a contact."""
    sandbox = new_sandbox()
    [(_, ours)] = sandbox.ghl.locations.items()
    fields = [(field.name, field.data_type) for field in ours.fields.values()]
    sandbox.ghl.locations.clear()
    sandbox.ghl.add_location("ve9EPM428h8vShlRW1KT", sandbox.location_token, fields=fields)
    people(sandbox, 1, location="ve9EPM428h8vShlRW1KT")
    with served(sandbox):
        yield sandbox


@pytest.fixture
def connected(shell: Shell, vendors: Sandbox, redis_server: RedisServer) -> Shell:
    """A shell whose configuration reaches the fake vendors."""
    settings = settings_for(vendors, redis_server.url, queue={"name": shell.config.parent.name[-60:]})
    shell.config.write_text(as_toml(settings))
    return shell
