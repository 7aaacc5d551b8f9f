"""The vendor changes its records' shape while leads come in: buying stops, nobody is charged, and a person ends it."""

from __future__ import annotations

from pathlib import Path

from daemon_process import inside, look_ups, new_sandbox, people, settings_for, until
from redis_server import running

from leadenrich.providers.drift import ODD_MAX
from leadenrich.store.switches import Switches


async def test_records_of_another_shape_pause_the_seller_until_a_person_looks(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with running(tmp_path / "redis") as redis:
        async with new_sandbox() as sandbox:
            settings = settings_for(sandbox, redis.url, worker={"concurrency": 1})
            async with inside(sandbox, tmp_path, settings) as daemon:
                contacts = people(sandbox, ODD_MAX + 3, street="Minimal Ln")  # three members a record
                ids = [await daemon.tell(contact) for contact in contacts]
                paused = await until(daemon.paused, "the seller is paused")
                assert "another shape than documented" in paused["realestateapi"]
                assert len(look_ups(sandbox)) == ODD_MAX + 1
                ended = await daemon.ended(ids[: ODD_MAX + 1])
                assert {job["outcome"] for job in ended} == {"REVIEW"}  # and nothing of it was guessed
                waiting = [await daemon.job(job_id) for job_id in ids[ODD_MAX + 1 :]]
                assert {(job["state"], job["attempts_made"]) for job in waiting} == {("QUEUED", 0)}
                switches = Switches(daemon.running.connection, daemon.running.queue.keys)
                await switches.resume_provider("realestateapi", why="it is fine")
                assert {job["state"] for job in await daemon.ended(ids)} == {"SUCCEEDED"}
                assert len(look_ups(sandbox)) == len(ids)
