"""Group commit: what waits travels together, each is answered for itself, and nothing waits for a batch to fill."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """`send` takes up to `most` items and answers each, in order.

    At most `calls` are under way at a time: with two, the next is packed while Redis works on the one before. Items of
    one `key` never travel in two calls at once, so they arrive in their order; others may overtake each other.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        most: int,
        calls: int = 1,
        key: Callable[[Item], Hashable] = id,
    ) -> None:
        self._send = send
        self._most = most
        self._calls = calls
        self._key = key
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._keys_under_way: set[Hashable] = set()

    async def __call__(self, item: Item) -> Answer:
        """Raises: what `send` raised for the batch that this item travelled in."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._senders) < self._calls:
            self._senders.add(asyncio.create_task(self._drain(), name="batch"))
        return await future

    async def _drain(self) -> None:
        try:
            while batch := self._next():
                keys = {self._key(item) for item, _ in batch}
                self._keys_under_way |= keys
                self._under_way += 1
                try:
                    answers = await self._send([item for item, _ in batch])
                    if len(answers) != len(batch):
                        raise RuntimeError(f"{len(batch)} items sent, {len(answers)} answers came")
                except BaseException as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error if isinstance(error, Exception) else ConnectionAbortedError())
                    if not isinstance(error, Exception):
                        self._give_up()
                        raise
                else:
                    for (_, future), answer in zip(batch, answers, strict=True):
                        if not future.done():
                            future.set_result(answer)
                finally:
                    self._under_way -= 1
                    self._keys_under_way -= keys
        finally:
            self._senders.discard(asyncio.current_task())

    def _next(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        """What waits is shared out among the calls that are free: one that took all would leave the next none."""
        most = min(-(-len(self._waiting) // (self._calls - self._under_way)), self._most)
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        behind: list[tuple[Item, asyncio.Future[Answer]]] = []  # one of their key is under way
        while self._waiting and len(batch) < most:
            entry = self._waiting.popleft()
            (behind if self._key(entry[0]) in self._keys_under_way else batch).append(entry)
        self._waiting.extendleft(reversed(behind))
        return batch

    def _give_up(self) -> None:
        """The loop ends: nobody sends what still waits."""
        for _, future in self._waiting:
            future.cancel()
        self._waiting.clear()
