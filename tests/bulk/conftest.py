"""Commands run inside of the test, on a queue of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bulk_files import HEADER, configuration
from daemon_process import forget_logging
from redis_server import RedisServer

from leadenrich.cli import main

Run = Callable[..., int]


@pytest.fixture
def leads_csv(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: str, header: str = HEADER) -> Path:
        path = tmp_path / "leads.csv"
        path.write_text(header + "".join(rows))
        return path

    return write


@pytest.fixture
def leadenrich(redis_server: RedisServer, tmp_path: Path) -> Iterator[Run]:
    """One command in this process; its exit status."""
    config = tmp_path / "config.toml"
    config.write_text(configuration(redis_server.url, tmp_path.name))

    def run(*words: object, config: Path = config) -> int:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--config", str(config)])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    yield run
    forget_logging()
