"""The sign of life to systemd proves the claim loop: while a claim does not come back there is none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from held_socket import NotifySocket

from leadenrich.daemon.life import _start_watchdog
from leadenrich.telemetry.health import Health

PING_S = 0.02


async def test_a_claim_loop_that_is_stuck_gives_no_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the loop counts as stuck is the pool's to say: tests/worker/test_pool.py."""
    notify, pool, stop = NotifySocket(tmp_path / "notify"), SimpleNamespace(alive=True), asyncio.Event()
    monkeypatch.setenv("NOTIFY_SOCKET", str(notify.path))
    monkeypatch.setenv("WATCHDOG_USEC", str(round(PING_S * 2 * 1_000_000)))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    async with asyncio.TaskGroup() as group:
        _start_watchdog(group, Health(("worker",)), cast(Any, SimpleNamespace(pool=pool)), stop)
        await notify.until("WATCHDOG=1")
        pool.alive = False
        await asyncio.sleep(PING_S)
        while notify.waiting():
            await notify.until("WATCHDOG=1")
        with pytest.raises(TimeoutError):  # the silence of ten signs is the subject, not a wait for something
            await notify.until("WATCHDOG=1", within_s=10 * PING_S)
        pool.alive = True
        await notify.until("WATCHDOG=1")
        stop.set()
    notify.close()
