"""A verb is sent again while Redis is away and the lease may still be ours."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import backoff

from leadenrich.store.errors import StoreUnavailable

Answer = TypeVar("Answer")


async def patiently(call: Callable[[], Awaitable[Answer]], *, within_s: float) -> Answer:
    """The answer of `call`, asked again for up to `within_s`. Raises: StoreUnavailable; what else `call` raises."""
    began = time.monotonic()
    try:
        return await call()  # nearly always it ends here: the retry is built when it is needed
    except StoreUnavailable:
        left_s = within_s - (time.monotonic() - began)
        if left_s <= 0:
            raise

    @backoff.on_exception(
        backoff.expo, StoreUnavailable, max_time=left_s, factor=0.1, max_value=2.0, jitter=None, logger=None
    )
    async def again() -> Answer:
        return await call()

    return await again()
