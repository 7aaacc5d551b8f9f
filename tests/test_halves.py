"""Web server and worker in two processes on one Redis, as `--only web` and `--only worker` run them."""

from __future__ import annotations

from pathlib import Path

from daemon_process import inside, new_sandbox, people, settings_for
from redis_server import running

from leadenrich.store.daemons import Daemons


async def test_what_the_web_half_takes_the_worker_half_works_off(tmp_path: Path) -> None:
    for folder in ("redis", "web", "worker"):
        (tmp_path / folder).mkdir()
    with running(tmp_path / "redis") as redis:
        async with new_sandbox() as sandbox:
            web_settings = settings_for(sandbox, redis.url, worker={"name": "web-side"})
            worker_settings = settings_for(sandbox, redis.url, worker={"name": "worker-side", "listen": "127.0.0.1:0"})
            first, *others = people(sandbox, 6)
            async with inside(sandbox, tmp_path / "web", web_settings, only="web") as web:
                assert web.running.worker is None
                early = await web.tell(first)
                assert (await web.job(early))["state"] == "QUEUED"  # nobody works here

                async with inside(sandbox, tmp_path / "worker", worker_settings, only="worker") as worker:
                    assert worker.running.url is None  # no door but the probes
                    assert worker.running.health.report_now().web is None
                    late = [await web.tell(contact) for contact in others]
                    jobs = await web.ended([early, *late])
                    assert {job["state"] for job in jobs} == {"SUCCEEDED"}
                    started = [entry for entry in jobs[0]["timeline"] if entry["event"] == "started"]
                    assert started[0]["by"].startswith("worker-side/")
                    daemons = Daemons(web.running.connection, web.running.queue.keys)
                    assert [daemon.name for daemon in await daemons.all()] == ["worker-side"]
                assert await daemons.all() == [], "it ended as it should: nobody is told of it any more"
