"""Restarts behind a socket that somebody holds: no webhook is refused, no lead lost."""

from __future__ import annotations

import signal
from pathlib import Path

from chaos.order import Order
from chaos.restarts import restarts
from chaos.stage import stage
from daemon_process import people, until
from held_socket import HeldSocket


async def test_restarts_under_load_miss_no_webhook_and_lose_no_lead(tmp_path: Path) -> None:
    """Three of `make chaos ONLY=restarts`. How late an answer may be is judged there: a busy machine starts slowly."""
    found = await restarts(Order(tmp_path, seed=1, quick=True))
    assert [figure for figure in found.figures if not figure.holds and figure.name != "the slowest answer"] == []
    assert int(dict(zip(*found.rows, strict=True))["webhooks"]) > 50


async def test_the_held_door_stays_open_while_the_last_jobs_end(tmp_path: Path) -> None:
    """Those who came to a closed one would wait as long as a vendor takes."""
    async with stage(tmp_path, worker={"shutdown_grace": 20.0}) as scene:
        daemon, door = scene.daemon(), HeldSocket()
        daemon.held = door
        first, second = people(scene.sandbox, 2)
        scene.book.hold_when(lambda request: request.method == "PUT")
        await daemon.start()
        await scene.deliver(first)
        await until(lambda: scene.book.held, "a job that a vendor keeps")
        daemon.signal(signal.SIGTERM)
        await until(lambda: daemon.said("draining"), "the way down")
        await scene.deliver(second)
        assert daemon.running
        scene.book.release()
        assert await daemon.exit_status() == 0
        assert scene.refusals == 0
        await daemon.start()
        await scene.all_done(within_s=20)
        assert {job.state for job in (await scene.jobs()).values() if job} == {"SUCCEEDED"}
        door.close()
