"""Commands on a queue of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis_server import RedisServer
from shell import Shell


@pytest.fixture
def shell(
    redis_server: RedisServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
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
