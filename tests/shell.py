"""A shell beside a queue: commands in this process, on a queue of their own in the tests' Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from daemon_process import forget_logging
from queue_desk import Desk

from leadenrich.cli import main
from leadenrich.config import load
from leadenrich.store.connection import open_redis
from leadenrich.store.queue import Queue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Shell:
    """`run` a command; `desk` does something on the same queue."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = config
        self._capsys = capsys

    def run(self, *words: str) -> Told:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*words, "--config", str(self.config)])
        told = self._capsys.readouterr()
        forget_logging()
        assert isinstance(ended.value.code, int)
        return Told(ended.value.code, told.out, told.err)

    def done(self, *words: str) -> Told:
        """One that must go well."""
        told = self.run(*words)
        assert told.status == 0, told
        return told

    def desk(self, act: Callable[[Desk], Awaitable[T]]) -> T:
        """Another process' hand on the queue."""

        async def act_there() -> T:
            config = load(self.config, {}).config
            async with open_redis(config.redis) as connection:
                queue = Queue(connection, config.queue, worker="w1")
                await queue.open()
                return await act(Desk(connection, queue))

        return asyncio.run(act_there())
